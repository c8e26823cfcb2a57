package lun_test

import (
	"testing"

	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// countingPort counts what is asked of it for each task, and does something in
// the middle of the completion of one.
type countingPort struct {
	receives, completions map[*lun.Task]int
	in                    *lun.Task
	do                    func()
}

func (p *countingPort) ReceiveDataOut(t *lun.Task, _ int) {
	p.receives[t]++
	if p.completions[t] > 0 {
		panic("data-out is asked for after the task has completed")
	}
}

func (p *countingPort) CommandComplete(t *lun.Task) {
	p.completions[t]++
	if t == p.in {
		p.do()
	}
}

// The lock of the unit is not held while a transport is called, so a task that
// waits in the queue to have its data-out asked for can be aborted there.
func TestATaskAbortedWhileItsDataOutIsAboutToBeAskedForCompletesOnce(t *testing.T) {
	f := ready(t, testConfig())
	p := &countingPort{receives: map[*lun.Task]int{}, completions: map[*lun.Task]int{}}
	first, second := orderedWrite(p, 0), orderedWrite(p, 9)
	p.in = first
	p.do = func() {
		// The second task is in the queue now; abort it from elsewhere.
		response := make(chan scsi.FunctionResponse)
		go func() {
			response <- f.unit.Manage(t.Context(), lun.Management{Function: scsi.AbortTask, Nexus: alice, Tag: second.Tag})
		}()
		if r := <-response; r != scsi.FunctionComplete {
			t.Errorf("ABORT TASK: %v", r)
		}
	}
	f.unit.Submit(first)
	f.unit.Submit(second)
	first.DataOut = make([]byte, 512)
	f.unit.DataOutReceived(first)
	for _, task := range []*lun.Task{first, second} {
		if p.completions[task] != 1 {
			t.Errorf("the task of tag %d completed %d times", task.Tag, p.completions[task])
		}
	}
	if p.receives[second] != 0 || !second.Aborted {
		t.Errorf("second task: data-out asked for %d times, aborted %v; want 0 and true", p.receives[second], second.Aborted)
	}
}

// orderedWrite is an ORDERED WRITE (10) of one block whose data is still to come.
func orderedWrite(p lun.Transport, lba byte) *lun.Task {
	t := command(alice, []byte{0x2A, 0, 0, 0, 0, lba, 0, 0, 1, 0}, nil, 0)
	t.ExpectedOut = 512
	t.Attribute = scsi.AttributeOrdered
	t.Transport = p
	return t
}

func TestANexusThatBeganWithReportLUNsIsNotToldOfThePowerOn(t *testing.T) {
	f := setup(t, testConfig(), nil)
	for _, scanning := range []bool{false, true} {
		n := lun.Nexus{InitiatorPort: map[bool]string{false: "user", true: "scanner"}[scanning], TargetPort: alice.TargetPort}
		task := command(n, []byte{0x00, 0, 0, 0, 0, 0}, nil, 0)
		task.Scanning = scanning
		f.port.submit(task)
		if told := task.Status == scsi.StatusCheckCondition && task.Sense.ASC == scsi.PowerOnOccurred; told == scanning {
			t.Errorf("scanning %v: %v, %v", scanning, task.Status, task.Sense)
		}
	}
}
