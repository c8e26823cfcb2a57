package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/scsi"
)

// host is an initiator port with a name and ISID of its own, by which its
// registrations are known again.
type host struct {
	name string
	isid byte
}

// session logs in at a portal and takes the unit attentions.
func (h host) session(t *testing.T, portal, target string) *initiator.Session {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := initiator.Dial(ctx, initiator.Config{
		Portal: portal, TargetName: target, InitiatorName: "iqn.2026-11.test:" + h.name,
		ISID: iscsi.ISID{0x80, 0, 0, 0, 0, h.isid},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// do sends a command until it ends with something else than a unit attention
// or a logical unit that is not ready.
func do(t *testing.T, s *initiator.Session, cdb []byte, out, in []byte) initiator.Task {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		task := initiator.Task{DataOut: out, DataIn: in, Attribute: scsi.AttributeSimple}
		copy(task.CDB[:], cdb)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := s.Do(ctx, &task)
		cancel()
		var status *initiator.StatusError
		if err != nil && !errors.As(err, &status) {
			t.Fatalf("command %x: %v", cdb, err)
		}
		again := task.Sense.Key == scsi.UnitAttention || task.Sense.Key == scsi.NotReady || task.Status == scsi.StatusBusy
		if task.Status == scsi.StatusGood || !again || time.Now().After(end) {
			return task
		}
	}
}

// good demands status GOOD.
func good(t *testing.T, s *initiator.Session, cdb []byte, out, in []byte) {
	t.Helper()
	if task := do(t, s, cdb, out, in); task.Status != scsi.StatusGood {
		t.Fatalf("command %x: %v, %v", cdb, task.Status, task.Sense)
	}
}

// persistentOut is PERSISTENT RESERVE OUT.
func persistentOut(t *testing.T, s *initiator.Session, action, kind byte, list scsi.ReserveOut) {
	t.Helper()
	b := list.Append(nil)
	cdb := []byte{0x5F, action, kind, 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(cdb[5:], uint32(len(b)))
	good(t, s, cdb, b, nil)
}

var (
	writeCDB = []byte{0x2A, 0, 0, 0, 0, 8, 0, 0, 1, 0}
	keysCDB  = []byte{0x5E, 0, 0, 0, 0, 0, 0, 0, 64, 0}
)

// mayWrite reports whether a write is taken, or refused with RESERVATION
// CONFLICT.
func mayWrite(t *testing.T, s *initiator.Session) bool {
	t.Helper()
	switch task := do(t, s, writeCDB, bytes.Repeat([]byte{7}, 512), nil); task.Status {
	case scsi.StatusGood:
		return true
	case scsi.StatusReservationConflict:
		return false
	default:
		t.Fatalf("WRITE: %v, %v", task.Status, task.Sense)
		return false
	}
}

func TestAReservationWithAPTPLOutlivesBothControllers(t *testing.T) {
	p := startPair(t)
	owner, other := host{"owner", 1}, host{"other", 2}
	s := owner.session(t, p.b.portal, p.target)
	persistentOut(t, s, 0, 0, scsi.ReserveOut{ServiceActionKey: 0xABCD, PowerLoss: true})
	persistentOut(t, s, 1, 1, scsi.ReserveOut{Key: 0xABCD})
	for _, order := range [][]*controller{{p.a, p.b}, {p.b, p.a}} {
		p.a.kill(t)
		p.b.kill(t)
		for _, c := range order {
			c.launch(t)
		}
		for _, c := range order {
			c.awaitLine(t, "msg=ready")
			if mayWrite(t, other.session(t, c.portal, p.target)) {
				t.Errorf("through controller %d a write is taken that the reservation forbids", c.id)
			}
		}
		if !mayWrite(t, owner.session(t, p.b.portal, p.target)) {
			t.Error("who holds the reservation may not write")
		}
	}
}

func TestAReservationWithoutAPTPLEndsWithBothControllers(t *testing.T) {
	p := startPair(t)
	s := host{"owner", 1}.session(t, p.a.portal, p.target)
	persistentOut(t, s, 0, 0, scsi.ReserveOut{ServiceActionKey: 0xABCD})
	persistentOut(t, s, 1, 1, scsi.ReserveOut{Key: 0xABCD})
	p.a.kill(t)
	other := host{"other", 2}
	if mayWrite(t, other.session(t, p.b.portal, p.target)) {
		t.Error("after the loss of one controller a write is taken that the reservation forbids")
	}
	p.b.kill(t)
	p.b.start(t) // the primary; it fences the other once more
	p.b.awaitRole(t, "primary")
	p.a.start(t)
	again := other.session(t, p.a.portal, p.target)
	if !mayWrite(t, again) {
		t.Error("the reservation outlived both controllers")
	}
	keys := make([]byte, 64)
	good(t, again, keysCDB, nil, keys)
	if n := binary.BigEndian.Uint32(keys[4:]); n != 0 {
		t.Errorf("READ KEYS: %d bytes of keys, want none", n)
	}
}

// Controller B was away when the reservation was made, and starts alone.
func TestAControllerThatWasAwayDoesNotServeWithoutTheReservationItMissed(t *testing.T) {
	p := startPair(t)
	p.b.kill(t)
	s := host{"owner", 1}.session(t, p.a.portal, p.target)
	persistentOut(t, s, 0, 0, scsi.ReserveOut{ServiceActionKey: 0xABCD, PowerLoss: true})
	persistentOut(t, s, 1, 1, scsi.ReserveOut{Key: 0xABCD})
	p.a.kill(t)
	p.b.launch(t)
	p.b.awaitLine(t, "not served", "older than what another controller has acknowledged", "promote "+lunName+" --force")
	if u := p.b.unit(t); u.Serving {
		t.Errorf("it serves: %+v", u)
	}
	p.a.launch(t)
	p.a.awaitLine(t, "msg=ready")
	p.b.awaitLine(t, "msg=ready")
	for _, c := range []*controller{p.a, p.b} {
		if mayWrite(t, host{"other", 2}.session(t, c.portal, p.target)) {
			t.Errorf("through controller %d a write is taken that the reservation forbids", c.id)
		}
	}
}

func TestADamagedStateIsReplacedByThatOfTheOtherController(t *testing.T) {
	p := startPair(t)
	s := host{"owner", 1}.session(t, p.b.portal, p.target)
	persistentOut(t, s, 0, 0, scsi.ReserveOut{ServiceActionKey: 0xABCD, PowerLoss: true})
	persistentOut(t, s, 1, 1, scsi.ReserveOut{Key: 0xABCD})
	p.a.kill(t)
	p.b.awaitRole(t, "primary")
	files, err := filepath.Glob(filepath.Join(p.a.dir, "state", "*.state"))
	if err != nil || len(files) != 1 {
		t.Fatalf("state files %v, %v", files, err)
	}
	if err := os.Truncate(files[0], 100); err != nil {
		t.Fatal(err)
	}
	p.a.start(t)
	p.a.awaitLine(t, "level=ERROR", "damaged", files[0])
	if _, err := os.Stat(files[0] + ".damaged"); err != nil {
		t.Error(err)
	}
	eventually(t, "controller 1 is a candidate", func() bool { return p.b.candidates(t) == 2 })
	p.b.kill(t)
	p.a.awaitRole(t, "primary")
	if mayWrite(t, host{"other", 2}.session(t, p.a.portal, p.target)) {
		t.Error("a write is taken that the reservation forbids")
	}
}

func TestAControllerWithoutHighAvailabilityKeepsItsStateWhenToldWhere(t *testing.T) {
	t.Parallel()
	for _, kept := range []bool{true, false} {
		s := newSingle(t)
		text := open(target, fmt.Sprintf("lun 0 { path %s  size 64M }", s.disk("disk")))
		if kept {
			text += fmt.Sprintf("\nstate %s\n", filepath.Join(s.dir, "state"))
		}
		s.configure(t, text)
		s.start(t)
		c := host{"owner", 1}.session(t, s.portal, target)
		list := scsi.ReserveOut{ServiceActionKey: 0xABCD, PowerLoss: true}.Append(nil)
		if task := do(t, c, []byte{0x5F, 0, 0, 0, 0, 0, 0, 0, byte(len(list))}, list, nil); (task.Status == scsi.StatusGood) != kept {
			t.Fatalf("state kept %v: REGISTER with APTPL ended with %v, %v", kept, task.Status, task.Sense)
		}
		if !kept {
			continue
		}
		persistentOut(t, c, 1, 1, scsi.ReserveOut{Key: 0xABCD})
		s.kill(t)
		s.start(t)
		if mayWrite(t, host{"other", 2}.session(t, s.portal, target)) {
			t.Error("the reservation is gone")
		}
	}
}
