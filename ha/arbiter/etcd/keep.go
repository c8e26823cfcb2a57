package etcd

import (
	"context"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
)

// isWitness reports whether a member serves no data: its name is not the id of a
// controller. A witness asks for the leadership whenever a controller has it:
// then losing a controller does not cost an election.
func isWitness(name string) bool {
	return strings.Trim(name, "0123456789") != ""
}

// keepInterval is how often the member looks after itself.
const keepInterval = time.Second

// keep looks after the member's place in the cluster until it ends: it tells
// who leads, records a changed address, and the witness keeps the leadership.
func (m *Member) keep() {
	ctx := m.ctx
	c := v3client.New(m.etcd.Server)
	defer c.Close()
	t := time.NewTicker(keepInterval)
	defer t.Stop()
	leader := ^types.ID(0) // nobody's, so that having none is news
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		leader = m.tellLeader(leader)
		m.recordAddress(ctx, c)
		if isWitness(m.cfg.Self) {
			m.lead(ctx, c)
		}
	}
}

// tellLeader logs who leads when that is not last, and returns who does.
func (m *Member) tellLeader(last types.ID) types.ID {
	s := m.etcd.Server
	leader := s.Leader()
	if leader == last {
		return leader
	}
	if leader == 0 {
		m.cfg.Log.Warn("arbiter has no majority: who serves cannot change")
	} else if p := s.Cluster().Member(leader); p != nil {
		m.cfg.Log.Info("arbiter has a leader", "leader", p.Name)
	}
	return leader
}

// recordAddress makes the cluster's record of this member's address match the
// Config. The others dial what the record says.
func (m *Member) recordAddress(ctx context.Context, c *clientv3.Client) {
	u := peerURL(m.cfg.Members[m.cfg.Self])
	want := u.String()
	self := m.etcd.Server.Cluster().Member(m.etcd.Server.MemberID())
	if self == nil || slices.Equal(self.PeerURLs, []string{want}) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, keepInterval)
	defer cancel()
	if _, err := c.MemberUpdate(ctx, uint64(self.ID), []string{want}); err == nil {
		m.cfg.Log.Info("arbiter member moved", "from", self.PeerURLs, "to", want)
	}
}

// lead asks a leader that is a controller to hand over to this member. A transfer stops writes
// until it is done or has timed out, so this member asks only when a
// linearizable read has shown that the leader hears it and that it is up to
// date.
func (m *Member) lead(ctx context.Context, c *clientv3.Client) {
	s := m.etcd.Server
	leader := s.Lead()
	if p := s.Cluster().Member(types.ID(leader)); p == nil || isWitness(p.Name) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, electionTimeout)
	defer cancel()
	if _, err := c.Get(ctx, "\x00"); err != nil || s.Lead() != leader {
		return
	}
	if err := s.MoveLeader(ctx, leader, uint64(s.MemberID())); err != nil {
		m.cfg.Log.Debug("leadership not moved to the witness", "err", err)
	}
}
