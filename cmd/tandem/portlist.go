package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/tandem-san/tandem/api"
)

func portlistCommand() *cobra.Command {
	var admin adminFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "portlist",
		Short: "List the target ports of all controllers, as ctladm does",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			socket, err := admin.path(cmd)
			if err != nil {
				return err
			}
			ports, err := api.NewClient(socket).Ports(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), ports)
			}
			printPorts(cmd.OutOrStdout(), ports)
			return nil
		},
	}
	admin.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printPorts(out io.Writer, ports []api.Port) {
	fmt.Fprintf(out, "%-4s %-6s %-8s %-8s %-4s %s\n", "Port", "Online", "Frontend", "Name", "pp", "vp")
	for _, p := range ports {
		online := "NO"
		if p.Online {
			online = "YES"
		}
		fmt.Fprintf(out, "%-4d %-6s %-8s %-8s %-4d %-2d %s\n", p.Port, online, p.Frontend, p.Name, p.Physical, p.Virtual, p.Target)
	}
}

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
