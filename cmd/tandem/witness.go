package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/tandem-san/tandem/controller"
)

func witnessCommand() *cobra.Command {
	var path string
	var replace bool
	cmd := &cobra.Command{
		Use:   "witness",
		Short: "Run the witness, the third vote, in the foreground",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := readWitness(cmd.ErrOrStderr(), path)
			if err != nil {
				return err
			}
			log := newLog(slog.LevelInfo)
			if replace {
				if err := controller.RejoinWitness(cmd.Context(), w, log); err != nil {
					return err
				}
			}
			return controller.RunWitness(cmd.Context(), w, log)
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "/etc/tandem/witness.conf", "configuration file")
	cmd.Flags().BoolVar(&replace, "replace", false, "its arbiter data is lost: have the other members of the arbiter take it in anew, then start")
	return cmd
}
