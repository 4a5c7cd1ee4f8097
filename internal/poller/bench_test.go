package poller_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"rampstream/internal/events"
	"rampstream/internal/poller"
)

// BenchmarkCore_Step is what one input costs beside many lanes.
func BenchmarkCore_Step(b *testing.B) {
	for _, lanes := range []int{8, 400} {
		b.Run(fmt.Sprintf("lanes=%d", lanes), func(b *testing.B) {
			var accounts []poller.Account
			var tasks []events.CheckTask
			for i := range lanes {
				name := events.Account(fmt.Sprintf("a%03d", i))
				accounts = append(accounts, account(func(a *poller.Account) { a.Account = name }))
				for n := range 100 {
					task := known(fmt.Sprint(n), -48*time.Hour, time.Duration(n)*time.Hour+time.Hour)
					task.Key.Account = name
					tasks = append(tasks, task)
				}
			}
			core := poller.NewCore(poller.Settings{Partitions: 1}, accounts, rand.New(rand.NewPCG(1, 2)), nil)
			core.Step(epoch, poller.Assigned{Partition: 0, Tasks: tasks})
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				task := tasks[i%len(tasks)]
				task.DueAt = task.DueAt.Add(time.Duration(i%1000) * time.Second)
				core.Step(epoch.Add(time.Duration(i)*time.Microsecond), poller.Scheduled{Key: task.Key, Task: task})
			}
		})
	}
}
