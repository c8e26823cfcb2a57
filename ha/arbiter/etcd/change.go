package etcd

import (
	"context"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/arbiter"
)

// Change implements arbiter.Store. It reads, sends the changes whose
// conditions hold in as few transactions as possible, and starts over with
// those of a transaction that was refused, until each has an answer or ctx
// ends. When the answer of a transaction is lost it renews the ticket before
// it reads again, so that the answers it gives are final.
func (s *Store) Change(ctx context.Context, changes []arbiter.Change) ([]ha.Grant, error) {
	if err := checkChanges(changes); err != nil {
		return nil, err
	}
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	answers := make([]ha.Grant, len(changes))
	open := make([]int, len(changes))
	for i := range open {
		open[i] = i
	}
	for p := (pause{}); len(open) > 0; {
		ticket, err := s.currentTicket(ctx)
		if err != nil {
			return nil, err
		}
		v, err := s.read(ctx)
		if err != nil {
			return nil, err
		}
		open = slices.DeleteFunc(open, func(i int) bool {
			answers[i] = v.Grants[changes[i].LUN]
			return !possible(changes[i], v.State)
		})
		var failed error
		open, failed = s.send(ctx, ticket, v, changes, open, answers)
		if failed == nil {
			continue
		}
		if final(failed) || !p.wait(ctx) {
			return nil, s.failed(ctx, "change grants", failed)
		}
		if err := s.renewTicket(ctx); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// possible reports whether the conditions of c hold in st.
func possible(c arbiter.Change, st arbiter.State) bool {
	return st.Grants[c.LUN].Epoch == c.From &&
		(c.Held == 0 || st.Holders[c.Held]) &&
		(c.Lapsed == 0 || !st.Holders[c.Lapsed])
}

// send sends the open changes in chunks. It returns those still without an
// answer: their transaction was refused, or, with an error, may have been
// lost.
func (s *Store) send(ctx context.Context, ticket int64, v view, changes []arbiter.Change, open []int, answers []ha.Grant) ([]int, error) {
	var refused []int
	for chunk := range slices.Chunk(slices.Clone(open), s.chunk) {
		done, err := s.sendChunk(ctx, ticket, v, changes, chunk)
		if err != nil {
			return slices.DeleteFunc(open, func(i int) bool {
				return answers[i].Equal(changes[i].To)
			}), err
		}
		for _, i := range chunk {
			if done {
				answers[i] = changes[i].To
			} else {
				refused = append(refused, i)
			}
		}
	}
	return refused, nil
}

// sendChunk sends one transaction; done is false when it was refused.
func (s *Store) sendChunk(ctx context.Context, ticket int64, v view, changes []arbiter.Change, chunk []int) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	ifs, puts := s.transaction(ticket, v, changes, chunk)
	resp, err := s.client.Txn(ctx).If(ifs...).Then(puts...).Else(clientv3.OpGet(s.keys.ticket(s.node))).Commit()
	if err != nil {
		return false, err
	}
	if !resp.Succeeded {
		return false, s.checkTicket(first(resp.Responses[0].GetResponseRange().Kvs))
	}
	return true, nil
}

// transaction words the chunk: the ticket, each lease asked for and each
// grant must be as they were read.
func (s *Store) transaction(ticket int64, v view, changes []arbiter.Change, chunk []int) (ifs []clientv3.Cmp, puts []clientv3.Op) {
	ifs = append(ifs, clientv3.Compare(clientv3.ModRevision(s.keys.ticket(s.node)), "=", ticket))
	asked := map[ha.NodeID]bool{}
	lease := func(n ha.NodeID, result string) {
		if n != 0 && !asked[n] {
			asked[n] = true
			ifs = append(ifs, clientv3.Compare(clientv3.CreateRevision(s.keys.alive(n)), result, 0))
		}
	}
	for _, i := range chunk {
		c := changes[i]
		key := s.keys.grant(c.LUN)
		lease(c.Held, ">")
		lease(c.Lapsed, "=")
		ifs = append(ifs, clientv3.Compare(clientv3.ModRevision(key), "=", v.written[c.LUN]))
		puts = append(puts, clientv3.OpPut(key, encodeGrant(c.To)))
	}
	return ifs, puts
}
