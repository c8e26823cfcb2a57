package sim

import (
	"time"

	"github.com/tandem-san/tandem/ha"
)

// holder takes, renews and gives up the arbiter's lease, one after the other,
// as the core asks.
type holder struct {
	c     *controller
	wish  ha.Hold
	until ha.Instant // of the last success
	taken uint64     // and which lease that was
	busy  bool       // a request is under way
	asked bool       // the wish has changed since it was sent
	timer uint64     // the newest one counts
}

// ask replaces the wish.
func (h *holder) ask(wish ha.Hold) {
	h.wish, h.asked = wish, true
	h.act()
}

// act does the next thing, unless one is under way.
func (h *holder) act() {
	if h.busy {
		return
	}
	switch {
	case h.wish.On:
		h.asked = false
		h.renew()
	case h.asked:
		h.asked = false
		h.drop()
	}
}

// wait acts again after a while, or when the wish changes.
func (h *holder) wait(d time.Duration) {
	h.busy = false
	h.timer++
	n := h.timer
	if h.asked {
		h.act()
		return
	}
	h.c.timer(d, func() {
		if h.timer == n {
			h.act()
		}
	})
}

// renew takes or renews the lease once. When it may have lapsed, what others
// did meanwhile is read before it counts.
func (h *holder) renew() {
	h.busy = true
	c, a := h.c, &h.c.w.arbiter
	sent, generation := c.clock(), h.wish.Generation
	failed := func() { h.wait(arbiterRetry) }
	a.call(c, arbiterPatience, func() func() {
		taken := a.take(c.id)
		return func() {
			h.taken = taken
			from := sent
			if mutantLeaseFromAnswer {
				from = c.clock()
			}
			until := from + holdTTL*10/11
			if mutantLeaseNoMargin {
				until = from + holdTTL
			}
			held := func() {
				h.until = until
				c.post(ha.Held{Generation: generation, Until: until})
				h.wait(holdEvery)
			}
			if c.clock() < h.until || mutantHeldUnread {
				held()
				return
			}
			a.call(c, arbiterPatience, func() func() {
				s := a.state()
				return func() {
					c.post(ha.Observed{State: s})
					held()
				}
			}, failed)
		}
	}, failed)
}

func (h *holder) drop() {
	h.busy = true
	h.until = 0
	c, a := h.c, &h.c.w.arbiter
	over, taken := func() { h.wait(holdEvery) }, h.taken
	a.callLate(c, a.w.net.changeLag[c.id], arbiterPatience, func() func() {
		a.drop(c.id, taken)
		return over
	}, over)
}
