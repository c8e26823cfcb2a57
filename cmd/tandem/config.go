package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/tandem-san/tandem/controller"
	"github.com/tandem-san/tandem/ctlconf"
)

// defaultConfig is where the configuration is when nothing else is said.
const defaultConfig = "/etc/tandem/ctl.conf"

// readConfig parses a configuration and prints what is wrong with it.
func readConfig(out io.Writer, path string) (*ctlconf.Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c, found := ctlconf.Parse(path, text)
	return c, report(out, found)
}

// readWitness is readConfig for a witness.
func readWitness(out io.Writer, path string) (*ctlconf.Witness, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	w, found := ctlconf.ParseWitness(path, text)
	return w, report(out, found)
}

// report prints errors and warnings, one to a line.
func report(out io.Writer, found ctlconf.Diagnostics) error {
	for _, w := range found.Warnings {
		fmt.Fprintln(out, w.String(), "(warning)")
	}
	for _, e := range found.Errors {
		fmt.Fprintln(out, e.String())
	}
	if len(found.Errors) > 0 {
		return errSaid
	}
	return nil
}

// adminFlags are the flags of commands that ask a running controller.
type adminFlags struct{ config, socket string }

func (f *adminFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "configuration of the controller, to find its admin socket")
	cmd.Flags().StringVar(&f.socket, "socket", "", "admin socket of the controller (default "+controller.DefaultSocket+")")
	cmd.MarkFlagsMutuallyExclusive("config", "socket")
}

// path is the admin socket that is meant.
func (f *adminFlags) path(cmd *cobra.Command) (string, error) {
	if f.socket != "" {
		return f.socket, nil
	}
	if f.config == "" {
		return controller.DefaultSocket, nil
	}
	c, err := readConfig(io.Discard, f.config)
	if err != nil {
		return "", fmt.Errorf("configuration %s has errors: run 'tandem check -c %s'", f.config, f.config)
	}
	if c.Socket == "" {
		return controller.DefaultSocket, nil
	}
	return c.Socket, nil
}
