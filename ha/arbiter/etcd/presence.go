package etcd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sys/unix"
)

// ErrAlive: a process that speaks for this controller lives. Two controllers
// were given one node id, or this one was started while its predecessor had
// not ended.
var ErrAlive = errors.New("another process with this node id is alive")

// presenceTTL is how long the presence of a process outlives it, unless it ends
// in good order or is seen to be dead on this machine.
const presenceTTL = 3 * time.Second

// speaker is a process that speaks for a controller.
type speaker struct {
	Instance string `json:"instance"`
	// Machine is this boot of the machine; a PID means something only there.
	Machine string `json:"machine,omitempty"`
	// Host is for people.
	Host string `json:"host"`
	PID  int    `json:"pid"`
}

// thisProcess is the owner of what this Store writes.
func (s *Store) thisProcess() speaker {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	// Without it, dead processes are only found by their presence lapsing.
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return speaker{Instance: s.instance, Machine: string(bytes.TrimSpace(boot)), Host: host, PID: os.Getpid()}
}

func (s speaker) encode() string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("a process is always valid JSON: %v", err))
	}
	return string(b)
}

// isDead reports whether the process certainly runs no more.
func (s speaker) isDead(here speaker) bool {
	return s.Machine != "" && s.Machine == here.Machine && s.PID > 0 && errors.Is(unix.Kill(s.PID, 0), unix.ESRCH)
}

// seen is a key with the speaker in it, as a failed compare found it; rev is 0 when it
// is not there.
type seen struct {
	rev int64
	who speaker
}

// checkPresence answers the revision of the presence that the ticket may be
// taken over: 0 for none at all, or that of a process which is dead.
func (s *Store) checkPresence(p seen) (int64, error) {
	if p.rev == 0 || p.who.Instance == s.instance || p.who.isDead(s.thisProcess()) {
		return p.rev, nil
	}
	return 0, fmt.Errorf("node id %d: %w: process %d on host %q", s.node, ErrAlive, p.who.PID, p.who.Host)
}

// keepPresence renews the lease of the presence until the Store ends, and then
// takes it away.
func (s *Store) keepPresence(lease clientv3.LeaseID) {
	for s.ctx.Err() == nil {
		select {
		case <-s.ctx.Done():
		case <-time.After(presenceTTL / 3):
			lease = s.renewPresence(lease)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), attemptTimeout/2)
	defer cancel()
	// When it fails the presence lapses by itself.
	_, _ = s.client.Revoke(ctx, lease)
}

// renewPresence renews the lease, or takes another when that one has lapsed
// and nobody has taken the ticket since.
func (s *Store) renewPresence(lease clientv3.LeaseID) clientv3.LeaseID {
	ctx, cancel := context.WithTimeout(s.ctx, attemptTimeout)
	defer cancel()
	if resp, err := s.client.KeepAliveOnce(ctx, lease); err == nil && resp.TTL > 0 {
		return lease
	}
	rev, err := s.knownTicket()
	if err != nil {
		return lease
	}
	grant, err := s.client.Grant(ctx, int64(presenceTTL/time.Second))
	if err != nil {
		return lease
	}
	put := clientv3.OpPut(s.keys.presence(s.node), s.thisProcess().encode(), clientv3.WithLease(grant.ID))
	resp, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(s.keys.ticket(s.node)), "=", rev)).Then(put).Commit()
	if err != nil || !resp.Succeeded {
		return lease
	}
	return grant.ID
}
