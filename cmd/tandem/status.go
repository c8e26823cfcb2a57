package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tandem-san/tandem/api"
)

func statusCommand() *cobra.Command {
	var admin adminFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show nodes, link, arbiter, logical units, roles, epochs and sessions",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			socket, err := admin.path(cmd)
			if err != nil {
				return err
			}
			s, err := api.NewClient(socket).Status(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			printStatus(cmd.OutOrStdout(), s)
			return nil
		},
	}
	admin.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// linkWords are the states of the link in words; CTL's numbers.
var linkWords = map[int]string{0: "not configured", 1: "configured, not established", 2: "established"}

func printStatus(out io.Writer, s api.Status) {
	if s.Node == 0 {
		fmt.Fprintf(out, "controller, version %s, process %d, no high availability\n", s.Version, s.PID)
	} else {
		fmt.Fprintf(out, "cluster %s, controller %d%s, %s, version %s, process %d\n", s.Cluster, s.Node, drainedWord(s.Drained), s.Mode, s.Version, s.PID)
	}
	for _, n := range s.Nodes {
		fmt.Fprintf(out, "link to controller %d%s (%s): %d, %s", n.ID, drainedWord(n.Drained), n.Address, n.Link, linkWords[n.Link])
		if n.Problem != "" {
			fmt.Fprintf(out, ": %s", n.Problem)
		}
		fmt.Fprintln(out)
	}
	if a := s.Arbiter; a != nil {
		printArbiter(out, a)
	}
	printLUNs(out, s)
	printSessions(out, s.Sessions)
	if n := s.CHAP; n.Wrong+n.Unread > 0 {
		fmt.Fprintf(out, "\nCHAP: %d responses were wrong, %d more refused unread\n", n.Wrong, n.Unread)
	}
}

func drainedWord(drained bool) string {
	if drained {
		return " (drained)"
	}
	return ""
}

func printArbiter(out io.Writer, a *api.Arbiter) {
	switch {
	case a.Kind == "none":
		fmt.Fprintln(out, "arbiter: none; an operator promotes")
	case a.Problem != "":
		fmt.Fprintf(out, "arbiter: %s, NO QUORUM: no takeover is possible: %s\n", a.Kind, a.Problem)
	case !a.Quorum:
		fmt.Fprintf(out, "arbiter: %s, NO QUORUM: no takeover is possible; members %s\n", a.Kind, strings.Join(a.Members, " "))
	default:
		fmt.Fprintf(out, "arbiter: %s, quorum, leader %s, members %s\n", a.Kind, a.Leader, strings.Join(a.Members, " "))
	}
}

func printLUNs(out io.Writer, s api.Status) {
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "\nLUN\trole\taccess\tserving\tprimary\tepoch\tcandidates\theld\t")
	for _, l := range s.LUNs {
		serving := "no"
		if l.Serving {
			serving = "yes"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%d\t%s\n", l.Name, l.Role, l.Access, serving, l.Primary, l.Epoch,
			strings.Trim(fmt.Sprint(l.Candidates), "[]"), l.Held, l.Doing)
	}
	t.Flush()
	for _, l := range s.LUNs {
		if l.Alarm != "" {
			fmt.Fprintf(out, "ALARM %s: %s\n", l.Name, l.Alarm)
		}
	}
}

func printSessions(out io.Writer, sessions []api.Session) {
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "\nsession\tfrom\tportal\ttarget\tdigests")
	for _, s := range sessions {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", s.Initiator, s.Address, s.Portal, s.Target, s.Digests)
	}
	t.Flush()
}
