package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/tandem-san/tandem/controller"
)

func witnessCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "witness",
		Short: "Run the witness, the third vote, in the foreground",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := readWitness(cmd.ErrOrStderr(), path)
			if err != nil {
				return err
			}
			return controller.RunWitness(cmd.Context(), w, newLog(slog.LevelInfo))
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "/etc/tandem/witness.conf", "configuration file")
	return cmd
}
