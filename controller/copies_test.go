package controller

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/tandem-san/tandem/identity"
	"github.com/tandem-san/tandem/iscsi"
	"github.com/tandem-san/tandem/iscsi/initiator"
	"github.com/tandem-san/tandem/scsi"
)

// twins starts two controllers without an arbiter, in a mode. Logical unit 0 is
// served by the first, logical unit 1 by the second.
func twins(t *testing.T, mode int) [2]*site {
	t.Helper()
	authority, err := identity.NewAuthority("beast")
	if err != nil {
		t.Fatal(err)
	}
	sites := [2]*site{newSite(t), newSite(t)}
	listen := [2]string{free(t), free(t)}
	disks := sites[0].dir
	for i, s := range sites {
		cert, key, err := authority.Issue(identity.OfNode("beast", uint8(i+1)))
		if err != nil {
			t.Fatal(err)
		}
		for name, b := range map[string][]byte{"node.pem": cert, "node.key": key, "ca.pem": authority.Certificate()} {
			s.write(name, b)
		}
		roles := []string{"primary", "secondary"}
		text := fmt.Sprintf(`ha { cluster beast id %d mode %d listen %s peer %d %s certificate %%s/node.pem key %%s/node.key ca %%s/ca.pem arbiter none }
state %%s/state
target %s { auth-group no-authentication portal-group pg0
	lun 0 { path %s/a size 16M option shared on option ha_role %s }
	lun 1 { path %s/b size 16M option shared on option ha_role %s }
}`, i+1, mode, listen[i], 2-i, listen[1-i], disk, disks, roles[i], disks, roles[1-i])
		s.launch(s.text(text))
	}
	for _, s := range sites {
		eventually(t, "ready", func() bool { return strings.Contains(s.log.String(), "msg=ready") })
	}
	return sites
}

// run runs a command, again after a unit attention and while the logical units
// find each other.
func run(t *testing.T, s *initiator.Session, lun uint16, cdb initiator.CDB, out []byte, in int) []byte {
	t.Helper()
	var answer []byte
	eventually(t, "a command ends well", func() bool {
		task := &initiator.Task{LUN: iscsi.LUN(uint64(lun) << 48), CDB: cdb, DataOut: out, DataIn: make([]byte, in)}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Do(ctx, task); err != nil {
			if k := task.Sense.Key; k != scsi.UnitAttention && k != scsi.NotReady {
				t.Fatal(err)
			}
			return false
		}
		answer = task.DataIn[:task.Transferred]
		return true
	})
	return answer
}

func TestACopyReachesTheLogicalUnitsOfBothControllers(t *testing.T) {
	for _, mode := range []int{1, 2} {
		t.Run(fmt.Sprint("mode ", mode), func(t *testing.T) { copiesReach(t, mode) })
	}
}

func copiesReach(t *testing.T, mode int) {
	sites := twins(t, mode)
	const blocks = 4096
	data := bytes.Repeat([]byte("tandem, "), blocks*512/8)
	for through, s := range sites {
		session := s.login(s.portal, disk)
		var names []scsi.CSCD
		for lun := range uint16(2) {
			eventually(t, "the logical units are there", func() bool {
				ds, err := session.LogicalUnit(iscsi.LUN(uint64(lun) << 48)).Designators(t.Context())
				if err != nil {
					return false
				}
				names = append(names, scsi.CSCD{Name: ds[0]})
				return true
			})
		}
		for to := range uint16(2) {
			lba := uint64(blocks * (1 + 2*through + int(to)))
			run(t, session, 1-to, initiator.Write16CDB(0, blocks), data, 0)
			list := scsi.CopyList{ListID: 1, CSCDs: names,
				Segments: []scsi.Segment{{Kind: scsi.SegmentBlocks, From: 1 - to, To: to, Blocks: blocks, ToLBA: lba}}}.Append(nil, false)
			var cdb initiator.CDB
			cdb[0], cdb[12], cdb[13] = 0x83, byte(len(list)>>8), byte(len(list))
			run(t, session, to, cdb, list, 0)
			if got := run(t, session, to, initiator.Read16CDB(lba, blocks), nil, blocks*512); !bytes.Equal(got, data) {
				t.Errorf("through controller %d to logical unit %d: the data is not there", through+1, to)
			}
		}
	}
}
