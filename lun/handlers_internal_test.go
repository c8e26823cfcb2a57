package lun

import (
	"testing"

	"github.com/tandem-san/tandem/scsi"
)

func TestEveryCommandOfTheTableHasAHandler(t *testing.T) {
	for id := scsi.NoCommand + 1; id < scsi.NumCommands; id++ {
		c, h := &scsi.Commands[id], &handlers[id]
		if h.prepare == nil {
			t.Errorf("%s has no handler", c.Name)
		}
		if c.ByPort != (byPort[id] != nil) {
			t.Errorf("%s: answered by any port is %t in the table", c.Name, c.ByPort)
		}
		if c.Effect != scsi.EffectNone && h.execute == nil {
			t.Errorf("%s has an effect and nothing that executes it", c.Name)
		}
	}
	if handlers[scsi.NoCommand].prepare != nil {
		t.Error("no command has a handler")
	}
}

func TestAUnitAttentionIsKeptOnce(t *testing.T) {
	var n nexus
	for range 3 {
		n.attention(scsi.ModeParametersChanged)
	}
	n.attention(scsi.CapacityDataHasChanged)
	if n.attentionCount != 2 || n.takeAttention() != scsi.ModeParametersChanged {
		t.Fatalf("%d unit attentions, %v", n.attentionCount, n.attentions)
	}
}

func TestAResetOutranksOtherUnitAttentions(t *testing.T) {
	var n nexus
	n.attention(scsi.ModeParametersChanged)
	n.attention(scsi.BusDeviceResetFunctionOccurred)
	n.attention(scsi.CapacityDataHasChanged)
	if n.attentionCount != 2 || n.takeAttention() != scsi.BusDeviceResetFunctionOccurred || n.takeAttention() != scsi.CapacityDataHasChanged {
		t.Fatalf("unit attentions %v", n.attentions)
	}
}

func TestUnitAttentionsAreLimited(t *testing.T) {
	var n nexus
	for i := range 3 * maxAttentions {
		n.attention(scsi.ASC(0x3F00 + i))
	}
	if n.attentionCount != maxAttentions || n.attentions[maxAttentions-1] != scsi.ASC(0x3F00+3*maxAttentions-1) {
		t.Fatalf("%d unit attentions, %v", n.attentionCount, n.attentions)
	}
	n.returnAttention(0x2901)
	if n.attentionCount != maxAttentions || n.takeAttention() != 0x2901 {
		t.Fatalf("a condition put back is not the next one: %v", n.attentions)
	}
}
