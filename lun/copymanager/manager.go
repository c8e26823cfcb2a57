package copymanager

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// Limits of what a Manager keeps.
const (
	maxResults = 256 // copies that are over, of all nexuses
	maxTokens  = 256 // tokens that REPORT ALL ROD TOKENS tells of
)

// Manager is the copy manager of a controller. All methods may be called from
// many goroutines.
type Manager struct {
	pool *block.Pool
	log  *slog.Logger
	tags atomic.Uint64

	mu      sync.Mutex
	visible map[uint16][]*Unit // by relative target port identifier
	copies  map[*operation]bool
	results []*operation // that are over, the oldest first
	tokens  []token      // the oldest first
	running sync.WaitGroup
}

// token is a ROD token that was made here.
type token struct {
	bytes   []byte
	expires uint64
}

// New makes a copy manager whose buffers are of the pool.
func New(pool *block.Pool, log *slog.Logger) *Manager {
	m := &Manager{pool: pool, log: log, copies: map[*operation]bool{}}
	// The tags of its own commands are apart from those of initiators, which
	// have 32 bits.
	m.tags.Store(1 << 63)
	return m
}

// SetPorts tells which logical units are seen through which target port, by the
// relative target port identifiers of all controllers.
func (m *Manager) SetPorts(visible map[uint16][]*Unit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.visible = visible
}

// Close ends all copies and returns when they have.
func (m *Manager) Close() {
	m.mu.Lock()
	for o := range m.copies {
		o.stop()
	}
	m.mu.Unlock()
	m.running.Wait()
}

// find answers the logical unit of a name that is seen through a port, or nil.
func (m *Manager) find(port uint16, name scsi.Designator) *Unit {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, u := range m.visible[port] {
		if u.isCalled(name) {
			return u
		}
	}
	return nil
}

// begin enters an operation. It reports why not with a status or sense data: as
// many run as may, or one of the nexus has the list identifier.
func (m *Manager) begin(o *operation) (scsi.Status, scsi.Sense) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o.listed {
		for p := range m.copies {
			if p.listed && p.unit == o.unit && p.nexus == o.nexus && p.list == o.list {
				return scsi.StatusCheckCondition, scsi.Illegal(scsi.OperationInProgress)
			}
		}
		m.forget(o)
	}
	if len(m.copies) >= lun.MaxCopies {
		return scsi.StatusBusy, scsi.Sense{}
	}
	m.copies[o] = true
	m.running.Add(1)
	return scsi.StatusGood, scsi.Sense{}
}

// forget drops the results with the list identifier of o. The caller holds mu.
func (m *Manager) forget(o *operation) {
	kept := m.results[:0]
	for _, p := range m.results {
		if p.unit != o.unit || p.nexus != o.nexus || p.list != o.list {
			kept = append(kept, p)
		}
	}
	clear(m.results[len(kept):])
	m.results = kept
}

// settle keeps the result of an operation, whose list identifier can be used
// again.
func (m *Manager) settle(o *operation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.copies, o)
	if o.listed {
		if len(m.results) == maxResults {
			m.results = append(m.results[:0], m.results[1:]...)
		}
		m.results = append(m.results, o)
	}
}

// lookup answers the operation of a nexus with a list identifier, or nil.
func (m *Manager) lookup(u *Unit, n lun.Nexus, list uint32) *operation {
	m.mu.Lock()
	defer m.mu.Unlock()
	match := func(o *operation) bool { return o.listed && o.unit == u && o.nexus == n && o.list == list }
	for o := range m.copies {
		if match(o) {
			return o
		}
	}
	for _, o := range m.results {
		if match(o) {
			return o
		}
	}
	return nil
}

// abort ends the operations that match, and waits for them or for ctx.
func (m *Manager) abort(ctx context.Context, match func(*operation) bool) (found bool, err error) {
	var waiting []*operation
	m.mu.Lock()
	for o := range m.copies {
		if match(o) {
			o.stop()
			waiting = append(waiting, o)
		}
	}
	m.mu.Unlock()
	for _, o := range waiting {
		select {
		case <-o.done:
		case <-ctx.Done():
			return true, ctx.Err()
		}
	}
	return len(waiting) > 0, nil
}

// lose ends the operations of a nexus and forgets its results.
func (m *Manager) lose(u *Unit, n lun.Nexus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for o := range m.copies {
		if o.unit == u && o.nexus == n {
			o.listed = false
			o.stop()
		}
	}
	kept := m.results[:0]
	for _, o := range m.results {
		if o.unit != u || o.nexus != n {
			kept = append(kept, o)
		}
	}
	clear(m.results[len(kept):])
	m.results = kept
}

// keepToken lists a token that was made.
func (m *Manager) keepToken(t token) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropTokens(nil)
	if len(m.tokens) == maxTokens {
		m.tokens = append(m.tokens[:0], m.tokens[1:]...)
	}
	m.tokens = append(m.tokens, t)
}

// dropTokens forgets those that have expired, and one. The caller holds mu.
func (m *Manager) dropTokens(one []byte) {
	now := uint64(time.Now().Unix())
	kept := m.tokens[:0]
	for _, t := range m.tokens {
		if t.expires > now && string(t.bytes) != string(one) {
			kept = append(kept, t)
		}
	}
	clear(m.tokens[len(kept):])
	m.tokens = kept
}

// allTokens are those that have not expired.
func (m *Manager) allTokens() [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dropTokens(nil)
	list := make([][]byte, len(m.tokens))
	for i, t := range m.tokens {
		list[i] = t.bytes
	}
	return list
}
