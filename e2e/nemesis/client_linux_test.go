package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-san/tandem/api"
	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/iscsi/initiator/multipath"
	"github.com/tandem-san/tandem/scsi"
)

// The work of the clients.
const (
	hosts      = 3 // client machines, each with its own sessions
	workers    = 3 // of each
	own        = 4 // blocks that a worker writes
	blocks     = hosts * workers * own
	maxRest    = 6 * time.Millisecond
	maxWorries = 20 // violations that are kept in words
)

// record is what all clients of a round have seen.
type record struct {
	run   uint64 // tells the writes of this round from those of another
	began time.Time
	value atomic.Uint64

	mu         sync.Mutex
	history    []operation
	violations []string
	longest    time.Duration // operation that was answered
}

func newRecord(run uint64) *record { return &record{run: run, began: time.Now()} }

func (r *record) now() time.Duration { return time.Since(r.began) }

func (r *record) add(op operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, op)
	if op.end != never {
		r.longest = max(r.longest, op.end-op.call)
	}
}

// violated notes what must not be.
func (r *record) violated(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.violations) < maxWorries {
		r.violations = append(r.violations, fmt.Sprintf(format, args...))
	}
}

// disk is what a client works on.
type disk interface {
	ReadAt(ctx context.Context, p []byte, off int64) error
	WriteAt(ctx context.Context, p []byte, off int64) error
}

// client is a machine with paths to all controllers.
type client struct {
	id     int
	record *record
	paths  *multipath.Disk
	disk   disk // the paths, or one of them
	done   atomic.Int64
}

// openClient logs in. Clients differ: the first uses the best path, the second
// all, the third only that to the last controller where that is an active one.
func openClient(ctx context.Context, c *cluster, r *record, id int) (*client, error) {
	policy := multipath.PreferOptimized
	if id == 2 {
		policy = multipath.Spread
	}
	d, err := multipath.Open(ctx, multipath.Config{Paths: c.paths(fmt.Sprintf("client%d", id)), LUN: iscsi.NewLUN(dataLUN), Policy: policy})
	if err != nil {
		return nil, err
	}
	x := &client{id: id, record: r, paths: d, disk: d}
	if id == 3 && c.mode != 0 {
		x.disk = d.Via(len(c.controllers) - 1)
	}
	return x, nil
}

// work reads all blocks and writes its own until stop is closed.
//
// Of each block there is one who writes it, and one write at a time: a client
// that has lost a path sends a command again that may have been done already.
// Had another written meanwhile, the second time would bring old data back, and
// no target can know that.
func (x *client) work(ctx context.Context, worker int, rnd *rand.Rand, stop <-chan struct{}) {
	buf := make([]byte, blockSize)
	first := ((x.id-1)*workers + worker) * own
	for {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(rnd.Int64N(int64(maxRest)))):
		}
		switch n := rnd.IntN(100); {
		case n < 35:
			x.write(ctx, first+rnd.IntN(own), buf)
		case n < 70:
			x.read(ctx, x.disk, first+rnd.IntN(own), buf)
		default:
			x.read(ctx, x.disk, rnd.IntN(blocks), buf)
		}
	}
}

func (x *client) write(ctx context.Context, block int, buf []byte) bool {
	op := operation{client: x.id, block: block, write: true, value: x.record.value.Add(1), end: never}
	put(buf, x.record.run, block, op.value)
	op.call = x.record.now()
	err := x.disk.WriteAt(ctx, buf, int64(block)*blockSize)
	if err == nil {
		op.end = x.record.now()
		x.done.Add(1)
	}
	x.record.add(op)
	x.judge(ctx, err)
	return err == nil
}

func (x *client) read(ctx context.Context, d disk, block int, buf []byte) bool {
	op := operation{client: x.id, block: block, end: never, call: x.record.now()}
	err := d.ReadAt(ctx, buf, int64(block)*blockSize)
	if err == nil {
		op.end = x.record.now()
		if op.value, err = get(buf, x.record.run, block); err != nil {
			x.record.violated("client %d, call at %v: %v", x.id, op.call, err)
			return false
		}
		x.done.Add(1)
	}
	x.record.add(op)
	x.judge(ctx, err)
	return err == nil
}

// judge says whether an error may be: for a cluster's reasons a client waits,
// and after a long time it may give up.
func (x *client) judge(ctx context.Context, err error) {
	switch {
	case err == nil, ctx.Err() != nil:
	case multipath.IsHard(err):
		x.record.violated("client %d has seen a hard error: %v", x.id, err)
	case !errors.Is(err, multipath.ErrQueueTimeout):
		x.record.violated("client %d has seen an error that is no matter of waiting: %v", x.id, err)
	}
}

// readAll reads every block.
func (x *client) readAll(ctx context.Context) {
	buf := make([]byte, blockSize)
	for b := range blocks {
		if !x.read(ctx, x.paths, b, buf) {
			x.record.violated("block %d cannot be read after all is mended", b)
		}
	}
}

// readWithQEMU reads every block with the initiator of libiscsi.
func (r *record) readWithQEMU(ctx context.Context, c *cluster, x *controller) error {
	url := fmt.Sprintf("iscsi://%s/%s/%d", x.portal, c.target, dataLUN)
	file := filepath.Join(c.dir, "qemu.img")
	defer os.Remove(file)
	call := r.now()
	out, err := c.client().run(ctx, "", "qemu-img", "dd", "-f", "raw", "-O", "raw", fmt.Sprintf("bs=%d", blockSize), fmt.Sprintf("count=%d", blocks), "if="+url, "of="+file)
	if err != nil {
		return err
	}
	end := r.now()
	all, err := os.ReadFile(file)
	if err != nil || len(all) < blocks*blockSize {
		return fmt.Errorf("qemu-img made a file of %d bytes: %w: %s", len(all), err, out)
	}
	for b := range blocks {
		v, err := get(all[b*blockSize:][:blockSize], r.run, b)
		if err != nil {
			r.violated("libiscsi through %s: %v", x.name, err)
			continue
		}
		r.add(operation{client: 100 + x.id, block: b, value: v, call: call, end: end})
	}
	return nil
}

// looks asks with libiscsi who is behind a portal. (Its tools begin with TEST
// UNIT READY, which a standby port refuses.)
func (c *cluster) looks(ctx context.Context, x *controller) error {
	if out, err := c.client().run(ctx, "", "iscsi-ls", "iscsi://"+x.portal); err != nil || !strings.Contains(out, c.target) {
		return fmt.Errorf("%s does not show %s: %s, %w", x.name, c.target, out, err)
	}
	if !c.active(x, dataName) {
		return nil
	}
	url := fmt.Sprintf("iscsi://%s/%s/%d", x.portal, c.target, dataLUN)
	_, errInquiry := c.client().run(ctx, "", "iscsi-inq", url)
	_, errCapacity := c.client().run(ctx, "", "iscsi-readcapacity16", url)
	return errors.Join(errInquiry, errCapacity)
}

// active tells whether the ports of a controller take reads and writes of a
// logical unit.
func (c *cluster) active(x *controller, lun string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	s, err := x.admin.Status(ctx)
	i := slices.IndexFunc(s.LUNs, func(l api.LUN) bool { return l.Name == lun })
	return err == nil && i >= 0 && (c.mode != 0 || s.LUNs[i].Role == "primary")
}

// host is an initiator port that stays the same over its sessions.
type host struct {
	cluster *cluster
	name    string
	isid    byte
}

func (h host) session(ctx context.Context, x *controller) (*initiator.Session, error) {
	return initiator.Dial(ctx, initiator.Config{
		Portal: x.portal, TargetName: h.cluster.target, InitiatorName: "iqn.2026-01.test:" + h.name,
		ISID: iscsi.ISID{0x80, 0, 0, 0, 0, h.isid}, Dial: h.cluster.client().dial,
		PingInterval: time.Second, PingTimeout: time.Second,
	})
}

// command sends one command to the reserved logical unit until it ends with
// something else than what passes.
func (h host) command(ctx context.Context, x *controller, cdb, out, in []byte) (initiator.Task, error) {
	for {
		t, err := h.attempt(ctx, x, cdb, out, in)
		switch {
		case err != nil && ctx.Err() == nil:
		case t.Status == scsi.StatusBusy, t.Status == scsi.StatusTaskSetFull,
			t.Status == scsi.StatusCheckCondition && (t.Sense.Key == scsi.UnitAttention || t.Sense.Key == scsi.NotReady || t.Sense.Key == scsi.AbortedCommand):
		default:
			return t, err
		}
		if !pause(ctx, pollTime) {
			return t, fmt.Errorf("%w: %v, %v, %w", context.Cause(ctx), t.Status, t.Sense, err)
		}
	}
}

// attempt sends it once, in a session of its own. An error tells that it was not
// answered.
func (h host) attempt(ctx context.Context, x *controller, cdb, out, in []byte) (initiator.Task, error) {
	s, err := h.session(ctx, x)
	if err != nil {
		return initiator.Task{}, err
	}
	defer s.Close()
	for {
		t := initiator.Task{LUN: iscsi.NewLUN(heldLUN), DataOut: out, DataIn: in, Attribute: scsi.AttributeSimple}
		copy(t.CDB[:], cdb)
		err := s.Do(ctx, &t)
		if errors.As(err, new(*initiator.StatusError)) {
			err = nil
		}
		if err != nil || t.Status != scsi.StatusCheckCondition || t.Sense.Key != scsi.UnitAttention {
			return t, err
		}
	}
}
