package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tandem-san/tandem/demo"
)

func demoCommand() *cobra.Command {
	var o demo.Options
	var fault, report string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show on this machine how a pair of controllers survives a fault",
		Long: `Start a witness and two controllers on loopback, keep a disk busy over both
paths, break something, mend it, and verify every byte ever acknowledged. All
that was started is gone at the end. The exit status is 0 only when nothing was
lost.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			binary, err := os.Executable()
			if err != nil {
				return fmt.Errorf("finding this program's file: %w", err)
			}
			o.Binary, o.Fault, o.Out = binary, demo.Fault(fault), cmd.OutOrStdout()
			r, err := demo.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if err := writeReport(report, r); err != nil {
				return err
			}
			if !r.OK {
				return errSaid
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&fault, "fault", string(demo.KillPrimary), "what to break: "+faults())
	f.DurationVar(&o.Duration, "duration", demo.DefaultDuration, "how long the workload runs")
	f.IntVar(&o.Mode, "mode", 2, "high-availability mode: 0 active/standby, 2 active/active with forwarding")
	f.StringVar(&report, "json", "", "write the result to this file; - for standard output")
	return cmd
}

func faults() string {
	var words []string
	for _, f := range demo.Faults {
		words = append(words, string(f))
	}
	return strings.Join(words, ", ")
}

// writeReport writes the result as JSON, when that was asked for.
func writeReport(path string, r demo.Result) error {
	if path == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	b = append(b, '\n')
	if path == "-" {
		_, err = os.Stdout.Write(b)
		return err
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}
