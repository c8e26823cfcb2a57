package lun

// taskState is what the logical unit keeps about a task between Submit and
// CommandComplete.
type taskState struct{}

// Release gives the data-in buffer back to its pool.
func (t *Task) Release() {
	t.DataIn.Release()
	t.DataIn = nil
}
