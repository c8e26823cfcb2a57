package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/tandem-san/tandem/api"
)

func promoteCommand() *cobra.Command {
	var admin adminFlags
	var force bool
	cmd := &cobra.Command{
		Use:   "promote LUN",
		Short: "Make a controller the primary of a logical unit, without failing a command",
		Long: `Make the controller that is asked the primary of a logical unit. The primary
before finishes its commands and hands over; none fails.

With --force the logical unit is taken from a controller that cannot be reached
and is not fenced. If that controller still runs, a write that is on its way
there can overwrite a newer one: acknowledged data may be lost. Make sure that
it is switched off.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			socket, err := admin.path(cmd)
			if err != nil {
				return err
			}
			client := api.NewClient(socket)
			if force {
				s, err := client.Status(cmd.Context())
				if err != nil {
					return err
				}
				for _, loss := range atStake(s, args[0]) {
					fmt.Fprintf(cmd.ErrOrStderr(), "by force: %s\n", loss)
				}
			}
			if err := client.Promote(cmd.Context(), api.Promotion{LUN: args[0], Force: force}); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is served by this controller\n", args[0])
			return nil
		},
	}
	admin.add(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "take it although its primary cannot be reached and is not fenced: acknowledged data may be lost")
	return cmd
}

// atStake says what may be lost when a logical unit is promoted by force, as the
// controller sees things now.
func atStake(s api.Status, name string) (losses []string) {
	linked := map[int]bool{s.Node: true}
	for _, n := range s.Nodes {
		linked[n.ID] = n.Link == 2
	}
	i := slices.IndexFunc(s.LUNs, func(l api.LUN) bool { return l.Name == name })
	if i < 0 {
		return nil // which is said by who refuses it
	}
	l := s.LUNs[i]
	for _, n := range l.Candidates {
		// Only where secondaries move data do others than the primary write.
		if !linked[n] && (n == l.Primary || s.Mode == "active-active") {
			losses = append(losses, fmt.Sprintf("controller %d is not reached and not fenced: unless it is switched off, a write on its way there can overwrite a newer one, and acknowledged data of %s is lost", n, name))
		}
	}
	if l.Alarm != "" && !l.Serving {
		losses = append(losses, fmt.Sprintf("what this says is not waited for: %s", l.Alarm))
	}
	return losses
}
