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
// who leads, records a changed address, and a witness keeps the leadership as
// long as its disk is quick.
func (m *Member) keep() {
	ctx := m.ctx
	c := v3client.New(m.etcd.Server)
	defer c.Close()
	t := time.NewTicker(keepInterval)
	defer t.Stop()
	leader := ^types.ID(0) // nobody's, so that having none is news
	var own disk
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		leader = m.tellLeader(leader)
		m.recordAddress(ctx, c)
		if isWitness(m.cfg.Self) {
			m.watchDisk(&own)
			switch {
			case own.mayLead():
				m.lead(ctx, c)
			case own.slow:
				m.resign(ctx)
			}
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

// watchDisk measures the disk and says when it has become slow or quick.
func (m *Member) watchDisk(d *disk) {
	took, err := measureSync(m.cfg.DataDir)
	if err != nil {
		m.cfg.Log.Warn("the disk of this arbiter member cannot be measured", "err", err)
		took = slowSync + 1
	}
	if !d.note(took) {
		return
	}
	if d.slow {
		m.cfg.Log.Warn("the disk of this arbiter member is slow: it does not lead", "sync", took, "accepted", slowSync)
	} else {
		m.cfg.Log.Info("the disk of this arbiter member is quick again", "sync", took)
	}
}

// resign gives the leadership to another member that takes it.
func (m *Member) resign(ctx context.Context) {
	s := m.etcd.Server
	for _, p := range s.Cluster().Members() {
		if s.Leader() != s.MemberID() || ctx.Err() != nil {
			return
		}
		if p.ID == s.MemberID() || p.IsLearner {
			continue
		}
		tctx, cancel := context.WithTimeout(ctx, keepInterval)
		err := s.MoveLeader(tctx, uint64(s.MemberID()), uint64(p.ID))
		cancel()
		if err != nil {
			m.cfg.Log.Debug("leadership not moved from the witness", "to", p.Name, "err", err)
		}
	}
}
