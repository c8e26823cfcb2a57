package initiator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/tandem-san/tandem/iscsi"
)

// readBuffer is the size in bytes of the buffer PDUs are read through in the
// full feature phase. Data that is not in it goes straight to the task.
const readBuffer = 64 << 10

// Dial connects to the portal of cfg, logs in to its target and returns the
// session. When the target says that it has moved, Dial logs in there; a second
// move is a *LoginError. The end of ctx ends Dial, not the session.
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
	cfg.Logger.Info("iSCSI session begins", "portal", l.cfg.Portal, "target", cfg.TargetName)
	return newSession(l), nil
}

// connect brings a connection into the full feature phase of a session of the
// given type. A target that has moved is followed once (RFC 7143 §11.13.5),
// within the same time.
func connect(ctx context.Context, cfg Config, sessionType string) (*login, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.LoginTimeout)
	defer cancel()
	l, err := logIn(ctx, cfg, sessionType)
	var moved *LoginError
	if !errors.As(err, &moved) || moved.Address == "" {
		return l, err
	}
	to, malformed := iscsi.ParseTargetAddress(moved.Address)
	if malformed != nil {
		return nil, errors.Join(err, malformed)
	}
	from := cfg.Portal
	cfg.Portal = net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port)))
	cfg.Logger.Info("iSCSI login redirected", "portal", from, "to", cfg.Portal)
	if l, err = logIn(ctx, cfg, sessionType); err != nil {
		return nil, fmt.Errorf("redirected by portal %s: %w", from, err)
	}
	return l, nil
}

// logIn connects to the portal of cfg and logs in, until ctx ends.
func logIn(ctx context.Context, cfg Config, sessionType string) (*login, error) {
	address, err := cfg.address()
	if err != nil {
		return nil, err
	}
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
