package target

import (
	"maps"
	"slices"
	"sync/atomic"

	"github.com/tandem-san/tandem/lun"
)

// lunMap is the logical units of a target, by number. Sessions look into it
// with every command while a reload may exchange what it holds.
type lunMap struct {
	units atomic.Pointer[map[uint16]lun.Unit]
}

func newLUNMap(units map[uint16]lun.Unit) *lunMap {
	m := new(lunMap)
	m.set(units)
	return m
}

func (m *lunMap) set(units map[uint16]lun.Unit) {
	c := maps.Clone(units)
	m.units.Store(&c)
}

// find is the unit of a number, nil when there is none.
func (m *lunMap) find(n uint16) lun.Unit { return (*m.units.Load())[n] }

// numbers are those that have a unit, in order.
func (m *lunMap) numbers() []uint16 { return slices.Sorted(maps.Keys(*m.units.Load())) }

// all are the units now, by number. The map must not be changed.
func (m *lunMap) all() map[uint16]lun.Unit { return *m.units.Load() }
