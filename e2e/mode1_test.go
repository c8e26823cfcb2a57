package e2e

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/scsi"
)

// startMode1 is startPair in mode 1.
func startMode1(t *testing.T) *pair { return startPair(t, "--mode", "active-active") }

// healthy waits until a controller is primary, the other secondary, and both are
// candidates.
func healthy(t *testing.T, primary, secondary *controller) {
	t.Helper()
	primary.awaitRole(t, "primary")
	secondary.awaitRole(t, "secondary")
	eventually(t, "both are candidates", func() bool { return primary.candidates(t) == 2 })
}

func TestInMode1PlannedMovesUnderAWorkloadFailNoCommand(t *testing.T) {
	p := startMode1(t)
	disk := p.multipath(t)
	from, to := p.a, p.b
	for _, way := range planned {
		for range 2 {
			pause := busyWhile(t, disk, func() { way.move(t, p, from, to) })
			t.Logf("%s: longest pause %v", way.name, pause)
			if pause > maxHandoverPause {
				t.Errorf("%s: a pause of %v", way.name, pause)
			}
			healthy(t, to, from)
			from, to = to, from
		}
	}
	for _, c := range []*controller{p.a, p.b} {
		// Who has left is no candidate any more, and needs no fence.
		if log := c.output.String(); countLines(log, []string{"is fenced"}) != countLines(log, []string{"no fence is needed"}) {
			t.Errorf("controller %d has fenced the other", c.id)
		}
	}
}

// The path that is used is the one that is not hit, of the secondary or of what
// was the secondary.
func TestInMode1AWorkloadThroughTheSecondaryGoesOnWhateverHappensToThePrimary(t *testing.T) {
	p := startMode1(t)
	primary, secondary := p.a, p.b
	for _, hit := range []struct {
		name string
		do   func(c *controller)
	}{
		{"killed", func(c *controller) { c.kill(t) }},
		{"stopped", func(c *controller) { c.signal(t, syscall.SIGSTOP) }},
		{"terminated", func(c *controller) { c.terminate(t) }},
	} {
		disk := p.through(t, secondary)
		pause := busyWhile(t, disk, func() {
			hit.do(primary)
			secondary.awaitRole(t, "primary")
		})
		t.Logf("primary %s: longest pause %v", hit.name, pause)
		if pause > 3*time.Second {
			t.Errorf("primary %s: a pause of %v", hit.name, pause)
		}
		if hit.name == "stopped" {
			primary.awaitExit(t) // by the fence
		}
		primary.start(t)
		primary, secondary = secondary, primary
		healthy(t, primary, secondary)
	}
}

func TestInMode1AWorkloadThroughBothGoesOnWhateverHappensToTheSecondary(t *testing.T) {
	p := startMode1(t)
	disk := p.multipath(t)
	pause := busyWhile(t, disk, func() {
		p.b.kill(t)
		eventually(t, "the primary is alone", func() bool { return p.a.candidates(t) == 1 })
	})
	t.Logf("killed: longest pause %v", pause)
	p.b.start(t)
	healthy(t, p.a, p.b)

	fences := func(text string) int { return countLines(p.a.output.String(), []string{text}) }
	fenced, spared := fences("is fenced"), fences("no fence is needed")
	pause = busyWhile(t, disk, func() {
		p.b.signal(t, syscall.SIGSTOP)
		eventually(t, "the primary is alone", func() bool { return p.a.candidates(t) == 1 })
	})
	t.Logf("stopped: longest pause %v", pause)
	p.a.awaitLines(t, fenced+1, "is fenced")
	if fences("no fence is needed") == spared {
		p.b.awaitExit(t)
		p.b.start(t)
	} else { // it was writing nothing just then
		p.b.signal(t, syscall.SIGCONT)
	}
	healthy(t, p.a, p.b)
}

func TestInMode1OverlappingCommandsThroughBothAreThoseOfOneDisk(t *testing.T) {
	p := startMode1(t)
	o := newOverlap(32)
	o.fill(t, host{name: "fill", isid: 1}.session(t, p.b.portal, p.target))
	o.busy(t, p, 2, func() {
		succeed(t, tandem, "promote", lunName, "--socket", p.b.socket)
		p.b.awaitRole(t, "primary")
		time.Sleep(200 * time.Millisecond)
		p.b.kill(t)
		p.a.awaitRole(t, "primary")
	})
	o.judge(t)
}

func TestInMode1WhatIsNoPlainReadOrWriteIsThePrimarys(t *testing.T) {
	p := startMode1(t)
	owner := host{name: "owner", isid: 1}.session(t, p.b.portal, p.target)
	other := host{name: "other", isid: 2}
	throughA, throughB := other.session(t, p.a.portal, p.target), other.session(t, p.b.portal, p.target)

	// WRITE SAME (16), SYNCHRONIZE CACHE (10) and COMPARE AND WRITE through the
	// secondary, what they did through the primary.
	block := bytes.Repeat([]byte{0xA5}, 512)
	same := blocksCDB(0x93, 64, 8)
	good(t, owner, same, block, nil)
	good(t, owner, []byte{0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0}, nil, nil)
	compare := make([]byte, 16)
	compare[0], compare[9], compare[13] = 0x89, 64, 1
	good(t, owner, compare, append(bytes.Clone(block), bytes.Repeat([]byte{0x5A}, 512)...), nil)
	if task := do(t, throughA, compare, append(bytes.Clone(block), block...), nil); task.Sense.Key != scsi.Miscompare {
		t.Errorf("COMPARE AND WRITE through the primary after one through the secondary: %v, %v", task.Status, task.Sense)
	}
	got := make([]byte, 1024)
	good(t, throughA, blocksCDB(0x88, 64, 2), nil, got)
	if !bytes.Equal(got, append(bytes.Repeat([]byte{0x5A}, 512), block...)) {
		t.Error("the primary does not read what was written through the secondary")
	}

	// A reservation made through the secondary holds through both, and after the
	// loss of the primary.
	persistentOut(t, owner, 0, 0, scsi.ReserveOut{ServiceActionKey: 0xAB})
	persistentOut(t, owner, 1, 5, scsi.ReserveOut{Key: 0xAB}) // write exclusive, registrants only
	held := func(sessions ...*initiator.Session) {
		t.Helper()
		if !mayWrite(t, owner) {
			t.Error("the owner may not write")
		}
		for _, s := range sessions {
			if mayWrite(t, s) {
				t.Errorf("through %s another than the owner may write", s.Portal())
			}
		}
	}
	held(throughA, throughB)
	p.a.kill(t)
	p.b.awaitRole(t, "primary")
	held(throughB)
	p.a.start(t)
	healthy(t, p.b, p.a)
	held(throughB, other.session(t, p.a.portal, p.target))
}

func TestInMode1TaskManagementReachesAcrossControllers(t *testing.T) {
	p := startMode1(t)
	throughA := host{name: "one", isid: 1}.session(t, p.a.portal, p.target)
	throughB := host{name: "two", isid: 2}.session(t, p.b.portal, p.target)
	ready(t, throughA)
	ready(t, throughB)
	aborted(t, throughB)
	aborted(t, throughA)
	for _, from := range []*initiator.Session{throughB, throughA} {
		to := throughA
		if from == throughA {
			to = throughB
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		response, err := from.Manage(ctx, scsi.LogicalUnitReset, 0)
		cancel()
		if err != nil || response != scsi.FunctionComplete {
			t.Fatalf("LOGICAL UNIT RESET through %s: %v, %v", from.Portal(), response, err)
		}
		task := initiator.Task{Attribute: scsi.AttributeSimple}
		err = to.Do(t.Context(), &task)
		if task.Sense.Key != scsi.UnitAttention || task.Sense.ASC>>8 != 0x29 {
			t.Errorf("after a reset through %s, through %s: %v, %v, expected UNIT ATTENTION 29h", from.Portal(), to.Portal(), err, task.Sense)
		}
		ready(t, throughA)
		ready(t, throughB)
	}
}

// Nothing fences the secondary: what it was allowed to write is waited out, and
// the primary serves on.
func TestInMode1WithoutAFenceTheTicketsOfAStoppedSecondaryAreWaitedOut(t *testing.T) {
	p := newPair(t, "--mode", "active-active")
	for _, c := range []*controller{p.a, p.b} {
		unfenced(t, c)
	}
	p.startWitness(t)
	p.a.start(t)
	p.b.start(t)
	healthy(t, p.a, p.b)

	o := newOverlap(32)
	o.fill(t, host{name: "fill", isid: 1}.session(t, p.b.portal, p.target))
	o.busy(t, p, 2, func() {
		p.b.signal(t, syscall.SIGSTOP)
		p.a.awaitLine(t, "controller 2 is lost and there is no fence")
		disk := p.through(t, p.a)
		if pause := busyWhile(t, disk, func() { time.Sleep(time.Second) }); pause > 2*time.Second {
			t.Errorf("the primary stood still for %v", pause)
		}
		p.b.signal(t, syscall.SIGCONT)
		healthy(t, p.a, p.b)
	})
	if o.torn > 0 {
		t.Errorf("%d blocks were part of one write and part of another", o.torn)
	}
	p.b.alive(t)
}

var fence = regexp.MustCompile(`option fence .*`)

// unfenced has nothing fence the logical unit of a controller.
func unfenced(t *testing.T, c *controller) {
	t.Helper()
	text, err := os.ReadFile(c.config)
	if err != nil {
		t.Fatal(err)
	}
	found := fence.Find(text)
	if found == nil {
		t.Fatalf("%s has no fence", c.config)
	}
	c.edit(t, string(found), "option fence none")
}

func TestReportTargetPortGroupsTellsWhatTheModeMakesOfASecondary(t *testing.T) {
	for mode, want := range map[string]scsi.AccessState{
		"active-standby": scsi.Standby, "active-active": scsi.ActiveNonOptimized, "active-active-forward": scsi.ActiveNonOptimized,
	} {
		t.Run(mode, func(t *testing.T) {
			p := startPair(t, "--mode", mode)
			for _, c := range []*controller{p.a, p.b} {
				s := host{name: "alua", isid: byte(c.id)}.session(t, c.portal, p.target)
				states := func() map[uint16]scsi.AccessState {
					cdb, in := initiator.ReportTargetPortGroupsCDB(512), make([]byte, 512)
					task := do(t, s, cdb[:], nil, in)
					groups, err := scsi.DecodePortGroups(in[:task.Transferred])
					if err != nil {
						t.Fatalf("through controller %d: %v, %v: %v", c.id, task.Status, task.Sense, err)
					}
					found := map[uint16]scsi.AccessState{}
					for _, g := range groups {
						found[g.ID] = g.State
					}
					return found
				}
				eventually(t, "both groups have their states", func() bool {
					found := states()
					return len(found) == 2 && found[2] == scsi.ActiveOptimized && found[3] == want
				})
			}
		})
	}
}
