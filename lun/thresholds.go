package lun

import (
	"math"
	"time"

	"github.com/tandem-san/tandem/scsi"
)

// spaceRest is the time from one look at the space of the backend to the next.
// A look is taken when something is written.
const spaceRest = 10 * time.Second

// softThresholds is what is known of the space of the backend. The lock of the
// unit protects it.
type softThresholds struct {
	looked  bool // since the brain began
	next    time.Duration
	looking bool
	reached map[uint16]bool // by resource
}

// thin reports whether there are thresholds, and the log page that tells of
// them.
func (c *Config) thin() bool { return !c.NoUnmap && c.Provisioning == scsi.ThinProvisioned }

// setBytes is the length of a threshold set.
func (c *Config) setBytes() int64 { return int64(c.BlockSize) << scsi.ThresholdExponent }

// sets is so many bytes in threshold sets.
func (c *Config) sets(n int64) uint32 { return uint32(min(n/c.setBytes(), math.MaxUint32)) }

// thresholds are those that are configured.
func (c *Config) thresholds() []scsi.Threshold {
	var list []scsi.Threshold
	if c.AvailThreshold > 0 {
		list = append(list, scsi.Threshold{Resource: scsi.AvailableResource, Sets: c.sets(c.AvailThreshold)})
	}
	if c.UsedThreshold > 0 {
		list = append(list, scsi.Threshold{Resource: scsi.UsedResource, Sets: c.sets(c.UsedThreshold)})
	}
	return list
}

// ownPages are the mode pages that not every logical unit has.
func (c *Config) ownPages() []scsi.ModePage {
	if c.multimedia() {
		return []scsi.ModePage{scsi.CapabilitiesPage()}
	}
	if !c.thin() {
		return nil
	}
	return []scsi.ModePage{scsi.ProvisioningPage(c.thresholds())}
}

// hasLog reports whether there is a page of logPages.
func (b *brain) hasLog(page byte) bool {
	if page != scsi.LogProvisioning {
		return true
	}
	return b.knowsSpace && b.unit.config.thin()
}

// resources are the parameters of the logical block provisioning log page.
func (b *brain) resources() []scsi.LogParameter {
	s, err := b.device.Space()
	if err != nil {
		return nil
	}
	c := &b.unit.config
	return []scsi.LogParameter{
		scsi.Resource{Code: scsi.AvailableResource, Sets: c.sets(s.Available), Shared: s.Shared}.Parameter(),
		scsi.Resource{Code: scsi.UsedResource, Sets: c.sets(s.Used + c.setBytes() - 1)}.Parameter(),
	}
}

// watchSpace looks, now and then, whether a threshold has been reached. The
// look is taken on a goroutine of its own.
func (b *brain) watchSpace(now time.Duration) {
	c := &b.unit.config
	s := &b.soft
	if c.UsedThreshold == 0 && c.AvailThreshold == 0 || !c.thin() || s.looking || s.looked && now < s.next || b.stopping {
		return
	}
	s.looked, s.looking, s.next = true, true, now+spaceRest
	b.running.Go(b.lookAtSpace)
}

// lookAtSpace tells every nexus with THIN PROVISIONING SOFT THRESHOLD REACHED
// when one is reached that was not before (SBC-4 §4.7.3.8).
func (b *brain) lookAtSpace() {
	space, err := b.device.Space()
	c := &b.unit.config
	b.unit.mu.Lock()
	defer b.unit.mu.Unlock()
	s := &b.soft
	s.looking = false
	if err != nil {
		return
	}
	if s.reached == nil {
		s.reached = map[uint16]bool{}
	}
	for resource, now := range map[uint16]bool{
		scsi.AvailableResource: c.AvailThreshold > 0 && space.Available <= c.AvailThreshold,
		scsi.UsedResource:      c.UsedThreshold > 0 && space.Used >= c.UsedThreshold,
	} {
		if now && !s.reached[resource] {
			b.attend(scsi.ThinProvisioningSoftThresholdReached, nil)
			c.Log.Warn("soft threshold of space reached", "lun", c.Name, "used", space.Used, "available", space.Available)
		}
		s.reached[resource] = now
	}
}
