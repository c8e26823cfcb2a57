package etcd

import (
	"cmp"
	"context"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Kind says where the arbiter runs.
type Kind string

// The kinds, in the words of the configuration.
const (
	KindEmbedded Kind = "embedded"
	KindExternal Kind = "etcd"
)

// Status describes the arbiter for people.
type Status struct {
	Kind Kind
	// Quorum: a linearizable read succeeded, so changes are possible.
	Quorum bool
	// Leader is the name of the leading member as this one knows it, or "".
	Leader string
	// Revision and Term are etcd's; the term counts elections.
	Revision int64
	Term     uint64
	// Members as this one knows them, by name.
	Members []MemberStatus
}

// MemberStatus describes a member.
type MemberStatus struct {
	Name   string
	Addr   string
	Leader bool
}

// Status asks the nearest member. Without a majority it still succeeds, with
// Quorum false, after a second.
func (s *Store) Status(ctx context.Context) (Status, error) {
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return Status{}, err
	}
	defer end()
	st := Status{Kind: s.kind}
	qctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	resp, err := s.client.Get(qctx, s.keys.ticket(s.node))
	cancel()
	if err == nil {
		st.Quorum, st.Revision = true, resp.Header.Revision
	}
	list, err := s.client.MemberList(ctx, clientv3.WithSerializable())
	if err != nil {
		return st, s.failed(ctx, "list members", err)
	}
	leader := uint64(0)
	if ms, err := s.statusOfOne(ctx); err == nil {
		leader, st.Term = ms.Leader, ms.RaftTerm
		st.Revision = max(st.Revision, ms.Header.Revision)
	}
	for _, m := range list.Members {
		ms := MemberStatus{Name: m.Name, Leader: leader != 0 && m.ID == leader}
		if len(m.PeerURLs) > 0 {
			_, ms.Addr, _ = strings.Cut(m.PeerURLs[0], "://")
		}
		if ms.Leader {
			st.Leader = ms.Name
		}
		st.Members = append(st.Members, ms)
	}
	slices.SortFunc(st.Members, func(a, b MemberStatus) int { return cmp.Compare(a.Name, b.Name) })
	return st, nil
}

// statusOfOne asks the endpoints in turn for their own status.
func (s *Store) statusOfOne(ctx context.Context) (resp *clientv3.StatusResponse, err error) {
	endpoints := s.client.Endpoints()
	if s.kind == KindEmbedded {
		endpoints = []string{""}
	}
	for _, e := range endpoints {
		actx, cancel := context.WithTimeout(ctx, attemptTimeout)
		resp, err = s.client.Status(actx, e)
		cancel()
		if err == nil {
			return resp, nil
		}
	}
	return nil, err
}
