package controller

import "log/slog"

// Options are what a controller needs beside its configuration.
type Options struct {
	// Version is the program's, for status.
	Version string
	// Socket is the admin socket when the configuration names none.
	Socket string
	Log    *slog.Logger
}

// DefaultSocket is the admin socket when nothing else is said.
const DefaultSocket = "/run/tandem/tandem.sock"

// bufferBudget bounds the memory of data on its way through a controller, in
// bytes. A command above it ends with TASK SET FULL.
const bufferBudget = 1 << 30
