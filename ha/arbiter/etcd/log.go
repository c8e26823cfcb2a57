package etcd

import (
	"context"
	"log/slog"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// A member that misses its peers repeats itself several times a second:
// of each message, the first logBurst in each logPeriod pass.
const (
	logPeriod = 30 * time.Second
	logBurst  = 2
)

// quiet are warnings of etcd about choices made here on purpose.
var quiet = map[string]bool{
	"Running http and grpc server on single port. This is not recommended for production.": true,
}

// newZap bridges etcd's log into l. What etcd calls Info is Debug here: it
// tells of etcd's inner life, not of the cluster's.
func newZap(l *slog.Logger) *zap.Logger {
	core := zapcore.NewSamplerWithOptions(&bridge{l: l}, logPeriod, logBurst, 0)
	return zap.New(core)
}

// bridge is a zapcore.Core that writes to a slog.Logger.
type bridge struct {
	l      *slog.Logger
	fields []zapcore.Field
}

func slogLevel(l zapcore.Level) slog.Level {
	switch {
	case l <= zapcore.InfoLevel:
		return slog.LevelDebug
	case l == zapcore.WarnLevel:
		return slog.LevelWarn
	}
	return slog.LevelError
}

// Enabled reports whether l lets the level pass.
func (b *bridge) Enabled(l zapcore.Level) bool {
	return b.l.Enabled(context.Background(), slogLevel(l))
}

// With returns a core that adds fields to every entry.
func (b *bridge) With(fields []zapcore.Field) zapcore.Core {
	return &bridge{l: b.l, fields: append(b.fields[:len(b.fields):len(b.fields)], fields...)}
}

// Check adds the core to ce when it wants the entry.
func (b *bridge) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if b.Enabled(e.Level) && !quiet[e.Message] {
		return ce.AddCore(e, b)
	}
	return ce
}

// Write passes an entry on.
func (b *bridge) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range b.fields {
		f.AddTo(enc)
	}
	for _, f := range fields {
		f.AddTo(enc)
	}
	attrs := make([]slog.Attr, 0, len(enc.Fields))
	for _, fs := range [][]zapcore.Field{b.fields, fields} {
		for _, f := range fs {
			if v, ok := enc.Fields[f.Key]; ok {
				attrs = append(attrs, slog.Any(f.Key, v))
			}
		}
	}
	b.l.LogAttrs(context.Background(), slogLevel(e.Level), "etcd: "+e.Message, attrs...)
	return nil
}

// Sync does nothing: slog does not buffer.
func (b *bridge) Sync() error { return nil }
