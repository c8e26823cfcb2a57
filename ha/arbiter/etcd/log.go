package etcd

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Whatever etcd repeats is cut short: of each message, the first logBurst in
// each logPeriod pass.
const (
	logPeriod = 30 * time.Second
	logBurst  = 2
)

// expected are beginnings of etcd's warnings and errors that belong to a
// member's usual life: peers come and go, a new database has no version yet,
// and some choices are made here on purpose. Member.keep tells what matters
// of it in one line.
var expected = []string{
	"Failed to detect schema version",
	"Failed to detect storage schema version",
	"Running http and grpc server on single port",
	"bootstrap failed", // Start returns the error
	"closed TCP streaming connection",
	"dropped internal Raft message",
	"failed to find remote peer in cluster",
	"failed to process Raft message",
	"failed to publish local member to cluster",
	"failed to reach the peer URL",
	"failed to get version",
	"failed to update storage version",
	"ignored out-of-date read index response",
	"leader failed to send out heartbeat on time", // a busy machine; slow disks have their own warning
	"leadership transfer failed",
	"lost TCP streaming connection",
	"peer became inactive",
	"prober detected unhealthy status",
	"retrying of unary invoker failed",
	"simple token is not cryptographically signed",
	"stopped publish because server is stopping",
	"timed out waiting for read index response",
	"unexpected error during readonly txn", // the caller's time was up
	"waiting for ReadIndex response took too long",
}

// bridge is a zapcore.Core that writes to a slog.Logger. What etcd calls Info
// is Debug there: it tells of etcd's inner life, not of the cluster's.
type bridge struct {
	l *slog.Logger
	// closing: errors are only the noise of things being torn down.
	closing *atomic.Bool
	fields  []zapcore.Field
}

// newZap is a zap logger that ends in l. Once closing is set all is Debug.
func newZap(l *slog.Logger, closing *atomic.Bool) *zap.Logger {
	return zap.New(zapcore.NewSamplerWithOptions(&bridge{l: l, closing: closing}, logPeriod, logBurst, 0))
}

// level is the level of an entry in slog's terms.
func (b *bridge) level(e zapcore.Entry) slog.Level {
	switch {
	case e.Level >= zapcore.DPanicLevel:
		return slog.LevelError
	case e.Level <= zapcore.InfoLevel || b.closing.Load():
		return slog.LevelDebug
	}
	for _, s := range expected {
		if strings.HasPrefix(e.Message, s) {
			return slog.LevelDebug
		}
	}
	// raft puts the member's number first: "8e9e05c52164694d stepped down ..."
	if strings.Contains(e.Message, "since quorum is not active") {
		return slog.LevelDebug
	}
	if e.Level == zapcore.WarnLevel {
		return slog.LevelWarn
	}
	return slog.LevelError
}

// Enabled reports whether entries of the level may pass.
func (b *bridge) Enabled(l zapcore.Level) bool {
	least := slog.LevelDebug
	if l >= zapcore.WarnLevel {
		least = slog.LevelWarn
	}
	return b.l.Enabled(context.Background(), least)
}

// With returns a core that adds fields to every entry.
func (b *bridge) With(fields []zapcore.Field) zapcore.Core {
	return &bridge{l: b.l, closing: b.closing, fields: append(b.fields[:len(b.fields):len(b.fields)], fields...)}
}

// Check adds the core to ce when it wants the entry.
func (b *bridge) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if b.l.Enabled(context.Background(), b.level(e)) {
		return ce.AddCore(e, b)
	}
	return ce
}

// Write passes an entry on.
func (b *bridge) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	var attrs []slog.Attr
	for _, fs := range [][]zapcore.Field{b.fields, fields} {
		for _, f := range fs {
			f.AddTo(enc)
			if v, ok := enc.Fields[f.Key]; ok {
				attrs = append(attrs, slog.Any(f.Key, v))
			}
		}
	}
	b.l.LogAttrs(context.Background(), b.level(e), "etcd: "+e.Message, attrs...)
	return nil
}

// Sync does nothing: slog does not buffer.
func (b *bridge) Sync() error { return nil }
