// Command tandem is the one binary: controller, witness, and the tools to set
// them up and look at them. A file holds a subcommand: its flags and what it
// prints, and nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is stamped by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case err == nil:
		return
	case errors.Is(err, context.Canceled) && interrupted:
		fmt.Fprintln(os.Stderr, "tandem: interrupted")
	case !errors.Is(err, errSaid):
		fmt.Fprintln(os.Stderr, "tandem:", err)
	}
	os.Exit(1)
}

// errSaid ends the program with exit status 1 when the reason has been printed.
var errSaid = errors.New("the reason has been printed")

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "tandem",
		Short:         "A highly available iSCSI block store of two ordinary machines",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(demoCommand(), initCommand(), checkCommand(), serveCommand(), witnessCommand(),
		statusCommand(), portlistCommand(), promoteCommand(), drainCommand(), undrainCommand())
	return cmd
}

// newLog writes structured lines of a level to standard error.
func newLog(level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
}
