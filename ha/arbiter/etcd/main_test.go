package etcd_test

import (
	"testing"

	"github.com/tandem-san/tandem/ha/arbiter/arbitertest"
)

func TestMain(m *testing.M) { arbitertest.Main(m) }
