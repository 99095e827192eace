package etcd

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logCore hands etcd's errors to slog and drops the rest: a lone server's log
// is about scheduling. What ends the process goes to stderr as well.
type logCore struct {
	zapcore.LevelEnabler
	log    *slog.Logger
	closed *atomic.Bool // closing listeners "fail"
	fields []zapcore.Field
}

var _ zapcore.Core = (*logCore)(nil)

func newLogger(log *slog.Logger, closed *atomic.Bool) *zap.Logger {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return zap.New(&logCore{LevelEnabler: zapcore.ErrorLevel, log: log, closed: closed})
}

func (c *logCore) With(fields []zapcore.Field) zapcore.Core {
	next := *c
	next.fields = append(append([]zapcore.Field(nil), c.fields...), fields...)
	return &next
}

func (c *logCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *logCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	// Before its first snapshot etcd cannot know the version of its own schema
	// and says so as an error every few seconds.
	if c.closed.Load() && e.Level < zapcore.PanicLevel || e.Message == "failed to update storage version" {
		return nil
	}
	text := zapcore.NewMapObjectEncoder()
	for _, f := range append(append([]zapcore.Field(nil), c.fields...), fields...) {
		f.AddTo(text)
	}
	if e.Level >= zapcore.PanicLevel {
		fmt.Fprintf(os.Stderr, "etcd: %s %v\n", e.Message, text.Fields)
	}
	c.log.LogAttrs(context.Background(), slog.LevelError, "etcd: "+e.Message, slog.Any("fields", text.Fields))
	return nil
}

func (c *logCore) Sync() error { return nil }
