package demo

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/tandem-san/tandem/api"
)

// linkEstablished is the state of a link that is up (kern.cam.ctl.ha_link).
const linkEstablished = 2

// view is how the controllers say they stand; nil for one that says nothing.
type view []*api.Status

// look asks all controllers at once.
func (c *cluster) look(ctx context.Context) view {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	v := make(view, len(c.controllers))
	var wg sync.WaitGroup
	for i, x := range c.controllers {
		wg.Go(func() {
			if x.ended() {
				return
			}
			if s, err := x.admin.Status(ctx); err == nil {
				v[i] = &s
			}
		})
	}
	wg.Wait()
	return v
}

// ready tells whether both controllers are up, linked, have an arbiter to ask,
// agree who is primary, and the disk is served.
func (v view) ready() bool {
	for _, s := range v {
		if s == nil || s.Arbiter == nil || !s.Arbiter.Quorum || v.disk(s) == nil || v.disk(s).Primary != v.primary() {
			return false
		}
		if len(v.disk(s).Candidates) < len(v) {
			return false
		}
	}
	return v.linked() && v.primary() != 0
}

// linked tells whether every controller that answers has its link up.
func (v view) linked() bool {
	answers := false
	for _, s := range v {
		if s == nil {
			continue
		}
		answers = true
		for _, n := range s.Nodes {
			if n.Link != linkEstablished {
				return false
			}
		}
	}
	return answers
}

// primary is the id of the controller that serves the disk; 0 when none does.
func (v view) primary() int {
	for _, s := range v {
		if s == nil {
			continue
		}
		if d := v.disk(s); d != nil && d.Serving && d.Primary == s.Node {
			return s.Node
		}
	}
	return 0
}

// leader is the name of the arbiter's leading member, as the first says that
// knows one.
func (v view) leader() string {
	for _, s := range v {
		if s != nil && s.Arbiter != nil && s.Arbiter.Leader != "" {
			return s.Arbiter.Leader
		}
	}
	return ""
}

func (view) disk(s *api.Status) *api.LUN {
	for i := range s.LUNs {
		if s.LUNs[i].Name == lunName {
			return &s.LUNs[i]
		}
	}
	return nil
}

// String tells what each controller said, for an error message.
func (v view) String() string {
	var parts []string
	for i, s := range v {
		if s == nil {
			parts = append(parts, fmt.Sprintf("controller %d does not answer", i+1))
			continue
		}
		p := fmt.Sprintf("controller %d:", s.Node)
		for _, n := range s.Nodes {
			p += fmt.Sprintf(" link to %d is %d %s", n.ID, n.Link, n.Problem)
		}
		if a := s.Arbiter; a != nil && !a.Quorum {
			p += " no quorum " + a.Problem
		}
		if d := v.disk(s); d != nil {
			p += fmt.Sprintf(" primary %d of %v, serving %t, %s %s", d.Primary, d.Candidates, d.Serving, d.Doing, d.Alarm)
		}
		parts = append(parts, p)
	}
	return strings.Join(parts, "; ")
}
