package etcd

import (
	"context"
	"encoding/json"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/ha/arbiter"
)

// RaiseFloor implements arbiter.Store. A floor only rises: the compare keeps
// whatever is higher, so an attempt whose answer was lost does no harm.
func (s *Store) RaiseFloor(ctx context.Context, lun string, at ha.Stamp) error {
	if err := checkLUN(lun); err != nil {
		return fmt.Errorf("%w: %w", arbiter.ErrInvalid, err)
	}
	ctx, end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	return s.retry(ctx, "raise the floor of a state", func(ctx context.Context) error {
		for {
			done, err := s.raiseOnce(ctx, lun, at)
			if done || err != nil {
				return err
			}
		}
	})
}

// raiseOnce is one attempt; done is false when another write came between.
func (s *Store) raiseOnce(ctx context.Context, lun string, at ha.Stamp) (done bool, err error) {
	ticket, err := s.currentTicket(ctx)
	if err != nil {
		return false, err
	}
	key := s.keys.floor(lun)
	old, err := s.client.Get(ctx, key)
	if err != nil {
		return false, err
	}
	revision := int64(0)
	if len(old.Kvs) > 0 {
		revision = old.Kvs[0].ModRevision
		floor, err := decodeFloor(old.Kvs[0].Value)
		if err != nil || !floor.Before(at) {
			return err == nil, err
		}
	}
	value, err := json.Marshal(at)
	if err != nil {
		panic(fmt.Sprintf("a floor is always valid JSON: %v", err))
	}
	resp, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(s.keys.ticket(s.node)), "=", ticket),
			clientv3.Compare(clientv3.ModRevision(key), "=", revision)).
		Then(clientv3.OpPut(key, string(value))).
		Else(clientv3.OpGet(s.keys.ticket(s.node))).Commit()
	if err != nil || resp.Succeeded {
		return err == nil, err
	}
	return false, s.checkTicket(first(resp.Responses[0].GetResponseRange().Kvs))
}

// floors decodes the floors that read found.
func (s *Store) floors(kvs []*mvccpb.KeyValue) (map[string]ha.Stamp, error) {
	out := make(map[string]ha.Stamp, len(kvs))
	for _, kv := range kvs {
		lun, err := s.keys.lun(string(kv.Key))
		if err != nil {
			return nil, fmt.Errorf("arbiter: %w", err)
		}
		if out[lun], err = decodeFloor(kv.Value); err != nil {
			return nil, fmt.Errorf("arbiter: logical unit %q: %w", lun, err)
		}
	}
	return out, nil
}

func decodeFloor(b []byte) (at ha.Stamp, err error) {
	if len(b) > maxValueBytes {
		return at, fmt.Errorf("floor of %d bytes, at most %d are accepted", len(b), maxValueBytes)
	}
	if err := json.Unmarshal(b, &at); err != nil {
		return at, fmt.Errorf("floor: %w", err)
	}
	return at, nil
}
