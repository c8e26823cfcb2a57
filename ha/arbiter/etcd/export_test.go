package etcd

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tandem-san/tandem/ha/arbiter"
)

// DecodeGrant is decodeGrant, for the fuzzer.
var DecodeGrant = decodeGrant

// EncodeGrant is encodeGrant.
var EncodeGrant = encodeGrant

// HoldBack does all of Change but to send its transaction: calling the result
// does that and reports whether it was applied.
func (s *Store) HoldBack(ctx context.Context, changes []arbiter.Change) (func(context.Context) (bool, error), error) {
	ticket, err := s.currentTicket(ctx)
	if err != nil {
		return nil, err
	}
	v, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]int, len(changes))
	for i := range all {
		all[i] = i
	}
	ifs, puts := s.transaction(ticket, v, changes, all)
	return func(ctx context.Context) (bool, error) {
		resp, err := s.client.Txn(ctx).If(ifs...).Then(puts...).Commit()
		if err != nil {
			return false, err
		}
		return resp.Succeeded, nil
	}, nil
}

// Client is the Store's client, to make things behind its back.
func (s *Store) Client() *clientv3.Client { return s.client }
