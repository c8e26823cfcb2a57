package main

import (
	"context"
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
			log := newLog(c.Debug > 0)
			ctl, err := controller.New(c, controller.Options{Version: version, Socket: socket, Log: log})
			if err != nil {
				return err
			}
			stop := reloadOnHangup(cmd, ctl, path, log)
			defer stop()
			return ctl.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", defaultConfig, "configuration file")
	cmd.Flags().StringVar(&socket, "socket", "", "admin socket when the configuration names none (default "+controller.DefaultSocket+")")
	return cmd
}

// reloadOnHangup reloads with each SIGHUP until stop is called.
func reloadOnHangup(cmd *cobra.Command, ctl *controller.Controller, path string, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(cmd.Context())
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
				reload(cmd, ctl, path, log)
			}
		}
	}()
	return func() {
		signal.Stop(hangups)
		cancel()
		<-done
	}
}

func reload(cmd *cobra.Command, ctl *controller.Controller, path string, log *slog.Logger) {
	var c *ctlconf.Config
	c, err := readConfig(cmd.ErrOrStderr(), path)
	if err == nil {
		err = ctl.Reload(c)
	}
	if err != nil {
		log.Error("not reloaded: the configuration before stays in force", "config", path, "error", err)
		return
	}
	log.Info("reloaded", "config", path)
}
