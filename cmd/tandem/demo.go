package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

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
			out, err := openReport(report)
			if err != nil {
				return err
			}
			defer out.Close()
			// A closed terminal or a reader that has gone must not keep it from
			// cleaning up.
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
			defer stop()
			signal.Ignore(syscall.SIGPIPE)
			o.Binary, o.Fault, o.Out = binary, demo.Fault(fault), cmd.OutOrStdout()
			r, err := demo.Run(ctx, o)
			if err != nil {
				return err
			}
			if err := writeReport(out, r); err != nil {
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
	f.DurationVar(&o.Duration, "duration", demo.DefaultDuration, "how long the workload runs in a round")
	f.DurationVar(&o.Rest, "rest", 0, "how long each of the 8 workers rests after a command")
	f.IntVar(&o.Rounds, "rounds", 1, "how many times it is broken")
	f.IntVar(&o.Mode, "mode", 2, "high-availability mode: 0 active/standby, 1 active/active, 2 active/active with forwarding")
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

// openReport opens the file for the result before anything runs: what cannot be
// written is better known then.
func openReport(path string) (io.WriteCloser, error) {
	switch path {
	case "":
		return discard{io.Discard}, nil
	case "-":
		return os.Stdout, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("file for the result: %w", err)
	}
	return f, nil
}

// discard closes nothing.
type discard struct{ io.Writer }

func (discard) Close() error { return nil }

// writeReport writes the result as JSON.
func writeReport(out io.WriteCloser, r demo.Result) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	if _, err := out.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}
