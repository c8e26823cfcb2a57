package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tandem-san/tandem/api"
	"github.com/tandem-san/tandem/ha"
)

func drainCommand() *cobra.Command {
	return maintenanceCommand(&cobra.Command{
		Use:   "drain [NODE]",
		Short: "Hand everything over that a controller serves, without failing a command, before maintenance",
		Long: `Hand over every logical unit that a controller serves, without failing a
command, and have it take none until it is undrained or restarted. NODE is the
id of the controller; without it, it is the one that is asked. Returns when the
controller serves nothing. What no other controller can serve now stays where it
is, and is named.`,
	}, (*api.Client).Drain, "controller %d is drained and serves nothing\n")
}

func undrainCommand() *cobra.Command {
	return maintenanceCommand(&cobra.Command{
		Use:   "undrain [NODE]",
		Short: "End what drain began",
		Long: `Let a controller that was drained serve again. NODE is its id; without it, it is
the one that is asked. What was handed over stays where it is, unless fail-back
is on for it.`,
	}, (*api.Client).Undrain, "controller %d may serve again\n")
}

// maintenanceCommand completes a command that asks for maintenance of a
// controller, and says what has been reached.
func maintenanceCommand(cmd *cobra.Command, ask func(*api.Client, context.Context, api.Maintenance) (api.Maintenance, error), said string) *cobra.Command {
	var admin adminFlags
	cmd.Args = cobra.MaximumNArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var m api.Maintenance
		if len(args) == 1 {
			id, err := strconv.Atoi(args[0])
			if err != nil || id < 1 || id > ha.MaxNodes {
				return fmt.Errorf("controller %q: expected its id, 1 to %d", args[0], ha.MaxNodes)
			}
			m.Node = id
		}
		socket, err := admin.path(cmd)
		if err != nil {
			return err
		}
		if m, err = ask(api.NewClient(socket), cmd.Context(), m); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), said, m.Node)
		return nil
	}
	admin.add(cmd)
	return cmd
}
