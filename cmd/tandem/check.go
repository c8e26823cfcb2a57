package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/tandem-san/tandem/ctlconf"
)

func checkCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check a configuration and print everything that is wrong with it",
		Long: `Check the configuration of a controller, or of a witness when it has a section
witness, and print everything that is wrong with it. No disk, certificate or
address is looked at.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, err := os.ReadFile(path)
			if err != nil {
				return fmt.Errorf("configuration: %w", err)
			}
			what, found := check(path, text)
			if err := report(cmd.OutOrStdout(), found); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: good: %s\n", path, what)
			return nil
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", defaultConfig, "configuration file of a controller or of a witness")
	return cmd
}

// check reads a configuration as what its sections say it is.
func check(path string, text []byte) (what string, found ctlconf.Diagnostics) {
	if w, found := ctlconf.ParseWitness(path, text); w.IsValid() {
		return fmt.Sprintf("witness %s of cluster %s", w.Name, w.Cluster), found
	}
	c, found := ctlconf.Parse(path, text)
	return fmt.Sprintf("%d targets, %d logical units", len(c.Targets), len(c.LUNs)), found
}
