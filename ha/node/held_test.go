package node

import (
	"testing"
	"time"

	"github.com/tandem-san/tandem/block"
	"github.com/tandem-san/tandem/ha"
	"github.com/tandem-san/tandem/lun"
	"github.com/tandem-san/tandem/scsi"
)

// The way looks open, and whoever is there turns the task away: it goes to and fro,
// but not for longer than it may be held (S7).
func TestATaskThatIsSentToAndFroIsAnsweredWhenItsTimeIsUp(t *testing.T) {
	n, _ := bareNode(1, nil, nil)
	n.clock = clock{time.Now()}
	n.awake.init(n.clock, time.Hour)
	n.cfg.MaxHeld, n.cfg.HoldTime = 1, 100*time.Millisecond
	u := n.units[0]
	u.right.clock = n.clock
	u.right.set(ha.Instant(time.Hour))
	lu, err := lun.New(lun.Config{Name: u.cfg.Name, Identity: scsi.Identify(clusterName, "t", 0), Pool: block.NewPool(1 << 20)})
	if err != nil {
		t.Fatal(err)
	}
	u.setWay(ha.Route{LUN: u.cfg.Name, Kind: ha.RouteServe, Primary: 9, Epoch: 1}, lu) // not active

	c := &command{done: make(chan struct{}), unit: u}
	c.Task = lun.Task{
		Nexus: lun.Nexus{InitiatorPort: "host", TargetPort: 3}, Tag: 1, CDB: read16(0, 1),
		Attribute: scsi.AttributeSimple, Transport: c, ExpectedIn: 512,
	}
	came := time.Now()
	u.Submit(&c.Task)
	for end := came.Add(patience); ; time.Sleep(time.Millisecond) {
		u.sweep()
		select {
		case <-c.done:
			if c.Sense.Key != scsi.NotReady || c.Sense.ASC != scsi.LogicalUnitNotAccessibleAsymmetricAccessStateTransition {
				t.Errorf("%v, %v; want NOT READY 04h/0Ah", c.Status, c.Sense)
			}
			if took := time.Since(came); took < n.cfg.HoldTime {
				t.Errorf("it was answered after %v, it may be held for %v", took, n.cfg.HoldTime)
			}
			return
		default:
		}
		if time.Now().After(end) {
			t.Fatal("it is not answered")
		}
	}
}
