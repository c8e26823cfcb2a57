package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Controller is what the interface administers. Its methods may be called from
// many goroutines.
type Controller interface {
	Status(ctx context.Context) (Status, error)
	Ports(ctx context.Context) ([]Port, error)
	// Promote returns when the logical unit is served here.
	Promote(ctx context.Context, p Promotion) error
	// Drain returns the controller's id when that serves nothing; Undrain when
	// it may serve again.
	Drain(ctx context.Context, m Maintenance) (int, error)
	Undrain(ctx context.Context, m Maintenance) (int, error)
}

// Limits of the server.
const (
	maxBody     = 64 << 10
	readTimeout = 5 * time.Second
	// promoteTimeout bounds how long a promotion, or maintenance, may take.
	promoteTimeout = 30 * time.Second
)

// Listen opens the unix socket. A socket left by a process that is gone is
// replaced; one that is answered is not.
func Listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("admin socket %s: another process answers it", path)
	} else if !errors.Is(err, os.ErrNotExist) {
		if info, err := os.Lstat(path); err == nil && info.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("admin socket %s: is there and is not a socket", path)
		}
		os.Remove(path)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	return l, nil
}

// Serve answers requests until ctx ends.
func Serve(ctx context.Context, l net.Listener, c Controller, version string) error {
	server := &http.Server{
		Handler:           handler(c, version),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		MaxHeaderBytes:    maxBody,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin socket: %w", err)
	}
	return nil
}

func handler(c Controller, version string) http.Handler {
	mux := http.NewServeMux()
	config := huma.DefaultConfig("Tandem", version)
	config.DocsPath = "" // its page would load scripts from elsewhere
	a := humago.New(mux, config)
	huma.Register(a, operation("status", http.MethodGet, "/v1/status", "How the controller stands"),
		func(ctx context.Context, _ *struct{}) (*answer[Status], error) {
			return answerWith(c.Status(ctx))
		})
	huma.Register(a, operation("ports", http.MethodGet, "/v1/ports", "The target ports of all controllers"),
		func(ctx context.Context, _ *struct{}) (*answer[[]Port], error) {
			return answerWith(c.Ports(ctx))
		})
	huma.Register(a, operation("promote", http.MethodPost, "/v1/promote", "Become primary of a logical unit"),
		func(ctx context.Context, in *struct{ Body Promotion }) (*struct{}, error) {
			ctx, cancel := context.WithTimeout(ctx, promoteTimeout)
			defer cancel()
			if err := c.Promote(ctx, in.Body); err != nil {
				return nil, huma.Error409Conflict(err.Error())
			}
			return nil, nil
		})
	maintenance := func(do func(context.Context, Maintenance) (int, error)) func(context.Context, *struct{ Body Maintenance }) (*answer[Maintenance], error) {
		return func(ctx context.Context, in *struct{ Body Maintenance }) (*answer[Maintenance], error) {
			ctx, cancel := context.WithTimeout(ctx, promoteTimeout)
			defer cancel()
			id, err := do(ctx, in.Body)
			if err != nil {
				return nil, huma.Error409Conflict(err.Error())
			}
			return &answer[Maintenance]{Maintenance{Node: id}}, nil
		}
	}
	huma.Register(a, operation("drain", http.MethodPost, "/v1/drain", "Hand everything over and take nothing"), maintenance(c.Drain))
	huma.Register(a, operation("undrain", http.MethodPost, "/v1/undrain", "End what drain began"), maintenance(c.Undrain))
	return mux
}

func operation(id, method, path, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, MaxBodyBytes: maxBody}
}

// answer is a response with a body.
type answer[T any] struct{ Body T }

func answerWith[T any](v T, err error) (*answer[T], error) {
	if err != nil {
		return nil, huma.Error503ServiceUnavailable(err.Error())
	}
	return &answer[T]{v}, nil
}
