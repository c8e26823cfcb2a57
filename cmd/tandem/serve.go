package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tandem-san/tandem/controller"
	"github.com/tandem-san/tandem/ctlconf"
)

func serveCommand() *cobra.Command {
	var path, socket string
	var replace bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a controller in the foreground",
		Long: `Run a controller in the foreground, with its log on standard error.
SIGTERM and Ctrl-C hand its logical units over, let initiators log out, and end
it. SIGHUP reads the configuration again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := readConfig(cmd.ErrOrStderr(), path)
			if err != nil {
				return err
			}
			level := new(slog.LevelVar)
			level.Set(logLevel(c))
			log := newLog(level)
			if replace {
				if err := controller.Rejoin(cmd.Context(), c, log); err != nil {
					return err
				}
			}
			ctl, err := controller.New(c, controller.Options{Version: version, Socket: socket, Log: log})
			if err != nil {
				return err
			}
			stop := reloadOnHangup(cmd.Context(), log, func() error {
				text, err := os.ReadFile(path)
				if err != nil {
					return fmt.Errorf("configuration: %w", err)
				}
				c, found := ctlconf.Parse(path, text)
				if err := found.Err(); err != nil {
					return err
				}
				if err := ctl.Reload(c); err != nil {
					return err
				}
				level.Set(logLevel(c))
				return nil
			})
			defer stop()
			return ctl.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", defaultConfig, "configuration file")
	cmd.Flags().BoolVar(&replace, "replace", false, "its arbiter data is lost: have the other members of the arbiter take it in anew, then start")
	cmd.Flags().StringVar(&socket, "socket", "", "admin socket when the configuration names none (default "+controller.DefaultSocket+")")
	return cmd
}

// logLevel is that of the statement debug.
func logLevel(c *ctlconf.Config) slog.Level {
	if c.Debug > 0 {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// reloadOnHangup reloads with each SIGHUP until stop is called.
func reloadOnHangup(ctx context.Context, log *slog.Logger, reload func() error) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				if err := reload(); err != nil {
					log.Error("not reloaded: the configuration before stays in force", "error", err)
				} else {
					log.Info("reloaded")
				}
			}
		}
	}()
	return func() {
		signal.Stop(hangups)
		cancel()
		<-done
	}
}
