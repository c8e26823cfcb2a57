package initiator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-san/tandem/iscsi"
)

// readBuffer is the size in bytes of the buffer PDUs are read through in the
// full feature phase. Data that is not in it goes straight to the task.
const readBuffer = 64 << 10

// Dial connects to the portal of cfg, logs in to its target and returns the
// session. The end of ctx ends Dial, not the session.
func Dial(ctx context.Context, cfg Config) (*Session, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if _, err := iscsi.CanonicalName(cfg.TargetName); err != nil {
		return nil, fmt.Errorf("initiator: TargetName: %w", err)
	}
	l, err := connect(ctx, cfg, iscsi.SessionNormal)
	if err != nil {
		return nil, err
	}
	l.in.Resize(readBuffer)
	cfg.Logger.Info("iSCSI session begins", "portal", cfg.Portal, "target", cfg.TargetName)
	return newSession(l), nil
}

// connect brings a connection into the full feature phase of a session of the
// given type.
func connect(ctx context.Context, cfg Config, sessionType string) (*login, error) {
	address, err := cfg.address()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.LoginTimeout)
	defer cancel()
	conn, err := cfg.Dial(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to portal %s: %w", cfg.Portal, err)
	}
	// The end of ctx makes every read and write fail at once.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	l := newLogin(cfg, conn, sessionType)
	err = l.run()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		reset(conn)
		if ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), err)
		}
		return nil, fmt.Errorf("log in at portal %s: %w", cfg.Portal, err)
	}
	return l, nil
}
