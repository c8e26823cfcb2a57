package lun

import (
	"time"

	"github.com/tandem-san/tandem/scsi"
)

// logPages are the log pages besides the list of them, in ascending order.
var logPages = [...]struct {
	code  byte
	write func(*brain) []scsi.LogParameter
}{
	{scsi.LogProvisioning, (*brain).resources},
	{scsi.LogTemperature, func(b *brain) []scsi.LogParameter { return b.temperature().Parameters() }},
	{scsi.LogStartStop, func(b *brain) []scsi.LogParameter { return scsi.StartStopCycles(b.stops, b.unloads) }},
	{scsi.LogStatistics, func(b *brain) []scsi.LogParameter { return b.statistics.page(b.now()).Parameters() }},
	{scsi.LogInformationalExceptions, func(b *brain) []scsi.LogParameter { return b.temperature().InformationalExceptions() }},
}

// logSense answers LOG SENSE (SPC-5 §6.9). All counters begin with the brain.
func logSense(b *brain, t *Task) bool {
	cdb := t.cdb()
	page, subpages, ok := scsi.LogPageOf(cdb)
	if !ok {
		t.check(scsi.InvalidCDBField(3))
		return false
	}
	if page == scsi.LogSupportedPages {
		if cdb.Uint16(5) != 0 {
			t.check(scsi.InvalidCDBField(5))
			return false
		}
		var codes []byte
		for i := range logPages {
			if b.hasLog(logPages[i].code) {
				codes = append(codes, logPages[i].code)
			}
		}
		b.unit.reply(t, scsi.AppendSupportedLogPages(nil, subpages, codes), cdb.AllocationLength())
		return false
	}
	for i := range logPages {
		if logPages[i].code != page || !b.hasLog(page) {
			continue
		}
		if page == scsi.LogProvisioning {
			return true // the device is asked, which may take time
		}
		b.replyLogPage(t, page, logPages[i].write(b))
		return false
	}
	t.check(scsi.InvalidCDBField(2))
	return false
}

// logSpace answers LOG SENSE of the logical block provisioning page.
func logSpace(b *brain, t *Task) { b.replyLogPage(t, scsi.LogProvisioning, b.resources()) }

// replyLogPage answers the parameters from the PARAMETER POINTER on; one behind
// the last is refused.
func (b *brain) replyLogPage(t *Task, page byte, parameters []scsi.LogParameter) {
	first := t.cdb().Uint16(5)
	for len(parameters) > 0 && parameters[0].Code < first {
		parameters = parameters[1:]
	}
	if len(parameters) == 0 {
		t.check(scsi.InvalidCDBField(5))
		return
	}
	b.unit.reply(t, scsi.AppendLogPage(nil, page, parameters), t.cdb().AllocationLength())
}

// temperature is what the configuration says: nothing here has a thermometer.
func (b *brain) temperature() scsi.Temperature {
	t := scsi.Temperature{Current: scsi.UnknownTemperature, Reference: scsi.UnknownTemperature}
	if c := b.unit.config.Temperature; c != 0 {
		t.Current = c
	}
	if c := b.unit.config.ReferenceTemperature; c != 0 {
		t.Reference = c
	}
	return t
}

// statistics are counted since the brain began. The lock of the unit protects
// them; times are since then.
type statistics struct {
	commands [2]uint64 // reads, writes
	blocks   [2]uint64
	busy     [2]time.Duration
	idle     time.Duration
	// running counts the tasks of the task set; since is when that became or
	// ceased to be zero.
	running int
	since   time.Duration
}

const (
	statReads = iota
	statWrites
)

// now is the time since the brain began.
func (b *brain) now() time.Duration { return time.Since(b.began) }

// entered counts a task that entered the task set.
func (s *statistics) entered(now time.Duration) {
	if s.running == 0 {
		s.idle += now - s.since
		s.since = now
	}
	s.running++
}

// left counts a task that left the task set: one that read or wrote, and ended
// well, with its blocks and its time.
func (s *statistics) left(t *Task, now time.Duration) {
	s.running--
	if s.running == 0 {
		s.since = now
	}
	kind := statReads
	switch scsi.Commands[t.state.cmd].Effect {
	case scsi.EffectReads:
	case scsi.EffectWrites:
		kind = statWrites
	default:
		return
	}
	if t.Status != scsi.StatusGood || t.NotServed || t.Aborted {
		return
	}
	s.commands[kind]++
	s.blocks[kind] += t.state.end - t.state.lba
	s.busy[kind] += now - t.state.entered
}

// page is what the log page tells.
func (s *statistics) page(now time.Duration) scsi.Statistics {
	idle := s.idle
	if s.running == 0 {
		idle += now - s.since
	}
	ms := func(d time.Duration) uint64 { return uint64(d.Milliseconds()) }
	return scsi.Statistics{
		Reads: s.commands[statReads], Writes: s.commands[statWrites],
		BlocksRead: s.blocks[statReads], BlocksWritten: s.blocks[statWrites],
		ReadTime: ms(s.busy[statReads]), WriteTime: ms(s.busy[statWrites]),
		IdleTime: ms(idle),
	}
}
