package lun

import "github.com/tandem-san/tandem/scsi"

// maxAttentions is how many different unit attention conditions a nexus keeps;
// with more, the oldest goes (SAM-6 §5.14 lets a device server limit them).
const maxAttentions = 8

// nexus is what the brain knows of an I_T nexus. The lock of the unit
// protects it.
type nexus struct {
	name   Nexus
	id     uint32
	tasks  int // in the task set
	access scsi.AccessState

	attentions     [maxAttentions]scsi.ASC
	attentionCount int

	// registered and holder repeat the reservations for the gate.
	registered, holder bool
}

// isReset reports whether a condition is one of power on and reset, which
// clear and outrank the others (SAM-6 §5.14.2).
func isReset(a scsi.ASC) bool { return a>>8 == scsi.PowerOnResetOrBusDeviceResetOccurred>>8 }

// attention establishes a unit attention condition. A reset replaces all that
// was pending.
func (n *nexus) attention(a scsi.ASC) {
	if isReset(a) {
		n.attentions[0], n.attentionCount = a, 1
		return
	}
	for _, p := range n.attentions[:n.attentionCount] {
		if p == a {
			return
		}
	}
	if n.attentionCount == maxAttentions {
		n.takeAttention()
	}
	n.attentions[n.attentionCount] = a
	n.attentionCount++
}

// takeAttention clears the oldest pending condition and answers it; there must
// be one.
func (n *nexus) takeAttention() scsi.ASC {
	a := n.attentions[0]
	copy(n.attentions[:], n.attentions[1:n.attentionCount])
	n.attentionCount--
	return a
}

// forgetAttention clears a condition if it is pending.
func (n *nexus) forgetAttention(a scsi.ASC) {
	for i, p := range n.attentions[:n.attentionCount] {
		if p == a {
			copy(n.attentions[i:], n.attentions[i+1:n.attentionCount])
			n.attentionCount--
			return
		}
	}
}

// returnAttention puts back a condition that was taken and not delivered.
func (n *nexus) returnAttention(a scsi.ASC) {
	if n.attentionCount == maxAttentions {
		n.attentionCount--
	}
	copy(n.attentions[1:], n.attentions[:n.attentionCount])
	n.attentions[0] = a
	n.attentionCount++
}

func unitAttention(a scsi.ASC) scsi.Sense { return scsi.Sense{Key: scsi.UnitAttention, ASC: a} }

// nexusOf finds a nexus or takes in a new one, whose first command meets
// POWER ON OCCURRED unless it is scanning. When there are too many an idle one is forgotten; should
// it come back, it is a new one, and what it missed is outranked by the power
// on. It answers nil when all are busy.
func (b *brain) nexusOf(name Nexus, scanning bool) *nexus {
	if n := b.nexuses[name]; n != nil {
		return n
	}
	if len(b.nexuses) >= b.unit.config.MaxNexuses && !b.forgetIdleNexus() {
		return nil
	}
	n := b.addNexus(name)
	if !scanning {
		n.attention(scsi.PowerOnOccurred)
	}
	return n
}

func (b *brain) forgetIdleNexus() bool {
	for name, n := range b.nexuses {
		if n.tasks == 0 {
			delete(b.nexuses, name)
			return true
		}
	}
	return false
}

func (b *brain) addNexus(name Nexus) *nexus {
	b.lastNexus++
	n := &nexus{name: name, id: b.lastNexus, access: b.unit.access.Load().stateOf(name.TargetPort)}
	n.registered = b.state.reservations.registered(name)
	n.holder = b.state.reservations.holds(name)
	b.nexuses[name] = n
	return n
}

// attend establishes a unit attention condition for every known nexus but
// except, which may be nil.
func (b *brain) attend(a scsi.ASC, except *nexus) {
	for _, n := range b.nexuses {
		if n != except {
			n.attention(a)
		}
	}
}
