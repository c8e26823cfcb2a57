package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tandem-san/tandem/provision"
)

func initCommand() *cobra.Command {
	var o provision.Options
	var nodes, luns, witnesses []string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write all that a new cluster needs: configurations and certificates",
		Example: `  tandem init --dir out --node 1=192.168.10.101 --node 2=192.168.10.102 \
      --witness 192.168.10.103 --lun data=/srv/data.img,size=10G
  tandem init --dir out --loopback --lun data=/tmp/data.img,size=1G`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := parseInit(&o, nodes, luns, witnesses); err != nil {
				return err
			}
			r, err := provision.Init(o)
			if err != nil {
				return err
			}
			printInit(cmd.OutOrStdout(), r)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Dir, "dir", "", "directory to write into; what is there already is not touched")
	f.StringArrayVar(&nodes, "node", nil, "a controller: ID=ADDRESS")
	f.StringArrayVar(&witnesses, "witness", nil, "address of a witness; a second one where the number of controllers is odd")
	f.StringArrayVar(&luns, "lun", nil, "a logical unit: NAME=PATH[,size=SIZE][,blocksize=SIZE][,serial=TEXT][,home=ID][,fence=FENCE]")
	f.StringVar(&o.Cluster, "cluster", "", `name of the cluster (default "tandem")`)
	f.StringVar(&o.Target, "target", "", "iSCSI name of the target (default iqn.2026-01.san.tandem: and the cluster)")
	f.StringVar(&o.Mode, "mode", "", `mode of the cluster: active-active-forward, active-active or active-standby (default "active-active-forward")`)
	f.BoolVar(&o.Loopback, "loopback", false, "put everything on 127.0.0.1 with free ports, to try it out")
	for _, name := range []string{"dir", "lun"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err)
		}
	}
	return cmd
}

// parseInit reads the flags that have a form of their own.
func parseInit(o *provision.Options, nodes, luns, witnesses []string) error {
	for _, s := range nodes {
		n, err := provision.ParseNode(s)
		if err != nil {
			return fmt.Errorf("--node: %w", err)
		}
		o.Nodes = append(o.Nodes, n)
	}
	for _, s := range luns {
		l, err := provision.ParseLUN(s)
		if err != nil {
			return fmt.Errorf("--lun: %w", err)
		}
		o.LUNs = append(o.LUNs, l)
	}
	for _, s := range witnesses {
		a, err := provision.ParseAddress(s)
		if err != nil {
			return fmt.Errorf("--witness: %w", err)
		}
		o.Witnesses = append(o.Witnesses, a)
	}
	return nil
}

func printInit(out io.Writer, r *provision.Result) {
	for _, f := range r.Files {
		fmt.Fprintln(out, "wrote", f)
	}
	for _, w := range r.Warnings {
		fmt.Fprintln(out, "note:", w)
	}
	fmt.Fprintln(out, "\nRun these, each in its own terminal:")
	for _, c := range r.Commands {
		if c.Copy != "" {
			fmt.Fprintf(out, "\non %v, after: %s\n  %s\n", c.Host, c.Copy, c.Run)
			continue
		}
		fmt.Fprintln(out, " ", c.Run)
	}
	fmt.Fprintf(out, "\nThen initiators log in to %s at", r.Target)
	for _, c := range r.Controllers {
		fmt.Fprintf(out, " %v", c.Portal)
	}
	fmt.Fprintln(out)
}
