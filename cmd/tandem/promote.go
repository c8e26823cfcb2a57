package main

import (
	"fmt"

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
			if err := api.NewClient(socket).Promote(cmd.Context(), api.Promotion{LUN: args[0], Force: force}); err != nil {
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
