package node

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-san/tandem/ha"
)

// vigil knows whether this process has been running all the time. One that was
// stopped for a while finds in its sockets commands whose initiators have given
// up long ago and gone on through another controller; executing those would
// bring old data back over newer (S4). So after such a gap no command starts
// until every session that existed is gone.
//
// A gap shorter than a lease goes unnoticed. Initiators must therefore wait
// longer than that before they give a path up; all that are known do.
type vigil struct {
	clock clock
	span  time.Duration
	until atomic.Int64 // an ha.Instant; the process must show itself before it

	// The loop's own.

	last   ha.Instant // when it showed itself last
	quiet  ha.Instant // held commands rest until then
	asleep bool       // a gap was noticed, the sessions are being closed
}

const (
	// lateTick is how late the loop may come without anybody having been
	// stopped.
	lateTick = 50 * time.Millisecond
	// restAfterLate is how long held commands rest after that, so that sessions
	// first notice whose initiators have gone.
	restAfterLate = 50 * time.Millisecond
)

func (v *vigil) init(c clock, span time.Duration) {
	v.clock, v.span, v.last = c, span, c.now()
	v.until.Store(int64(v.last + span))
}

// holds reports whether commands may start.
func (v *vigil) holds() bool { return int64(v.clock.now()) < v.until.Load() }

// calm reports whether held commands may be looked at.
func (v *vigil) calm() bool { return !v.asleep && v.clock.now() >= v.quiet }

// show says that the process runs. It reports a gap, once; until wake nothing
// may start.
func (v *vigil) show() (gap time.Duration) {
	now := v.clock.now()
	since := now - v.last
	v.last = now
	if since > lateTick {
		v.quiet = now + restAfterLate
	}
	switch {
	case v.asleep:
	case int64(now) >= v.until.Load():
		v.asleep = true
		return since
	default:
		v.until.Store(int64(now + v.span))
	}
	return 0
}

// wake says that nothing from before the gap is left.
func (v *vigil) wake() {
	v.asleep = false
	v.until.Store(int64(v.clock.now() + v.span))
}

// keepVigil shows that the process runs, and after a gap closes the sessions.
func (n *Node) keepVigil(ctx context.Context) {
	gap := n.awake.show()
	if gap == 0 {
		return
	}
	n.log.Error("this process was stopped for a while: closing the sessions, their commands may be out of date", "gap", gap)
	n.works.Go(func() {
		for !n.disconnect(ctx, "") && ctx.Err() == nil {
			pause(ctx, openRetry)
		}
		// The loop runs it; when there is no loop there is nothing to wake.
		_ = n.ask(n.awake.wake)
	})
}

// disconnectTime bounds one try to close sessions.
const disconnectTime = 10 * time.Second

// disconnect closes the sessions that use logical units, and reports whether they
// are gone. One session may use many.
func (n *Node) disconnect(ctx context.Context, luns ...string) bool {
	ctx, cancel := context.WithTimeout(ctx, disconnectTime)
	defer cancel()
	closed, errs := make([]int, len(luns)), make([]error, len(luns))
	var all sync.WaitGroup
	for i, name := range luns {
		all.Go(func() { closed[i], errs[i] = n.cfg.Disconnect(ctx, name) })
	}
	all.Wait()
	sessions := 0
	var left []string
	for i, name := range luns {
		sessions += closed[i]
		if errs[i] != nil {
			left = append(left, name)
		}
	}
	if sessions > 0 {
		n.log.Warn("sessions closed", append(named(luns), "sessions", sessions)...)
	}
	if len(left) > 0 {
		n.sayOf(slog.LevelWarn, "sessions do not close", left, "error", cmp.Or(errs...))
	}
	return len(left) == 0
}
