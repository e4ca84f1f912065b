; Warps and blocks that wait: fuel, turns, further workers, and what waits for ever.
; Something has happened in this launch other than waiting.
define internal void @note_progress(ptr %w) alwaysinline {
entry:
  %p_idle = getelementptr i8, ptr %w, i64 $w_idle
  %idle = load ptr, ptr %p_idle
  %none = icmp eq ptr %idle, null
  br i1 %none, label %out, label %note
note:
  %ignored = atomicrmw add ptr %idle, i64 1 monotonic
  br label %out
out:
  ret void
}

; A thread has gone round all its workers, which only spin. `idle` holds a count of what happened in the launch, the
; rounds of each thread, and for each thread what these were when it last saw something happen. True if each thread has
; gone round often since then: every block under way waits for ever.
define internal i1 @idle_for_long(ptr %w, i64 %limit) {
entry:
  %p_idle = getelementptr i8, ptr %w, i64 $w_idle
  %idle = load ptr, ptr %p_idle
  %p_threads = getelementptr i8, ptr %w, i64 $w_host_threads
  %threads = load i32, ptr %p_threads
  %p_thread = getelementptr i8, ptr %w, i64 $w_host_thread
  %thread = load i32, ptr %p_thread
  %row = add i32 %threads, 1
  %mine = add i32 %thread, 1
  %mine64 = zext i32 %mine to i64
  %p_rounds = getelementptr i64, ptr %idle, i64 %mine64
  %rounds = load i64, ptr %p_rounds
  %rounds1 = add i64 %rounds, 1
  store atomic i64 %rounds1, ptr %p_rounds monotonic, align 8
  %start = mul i32 %row, %mine
  %start64 = zext i32 %start to i64
  %p_kept = getelementptr i64, ptr %idle, i64 %start64
  %events = load atomic i64, ptr %idle seq_cst, align 8
  %known = load i64, ptr %p_kept
  %quiet = icmp eq i64 %events, %known
  br i1 %quiet, label %compare, label %keep
keep:
  %k = phi i32 [ 0, %entry ], [ %k1, %keep ]
  %k64 = zext i32 %k to i64
  %p_from = getelementptr i64, ptr %idle, i64 %k64
  %value = load atomic i64, ptr %p_from monotonic, align 8
  %p_to = getelementptr i64, ptr %p_kept, i64 %k64
  store i64 %value, ptr %p_to
  %k1 = add i32 %k, 1
  %kmore = icmp ult i32 %k1, %row
  br i1 %kmore, label %keep, label %no
compare:
  %c = phi i32 [ 1, %entry ], [ %c1, %enough ]
  %c64 = zext i32 %c to i64
  %p_now = getelementptr i64, ptr %idle, i64 %c64
  %now = load atomic i64, ptr %p_now monotonic, align 8
  %p_then = getelementptr i64, ptr %p_kept, i64 %c64
  %then = load i64, ptr %p_then
  %since = sub i64 %now, %then
  %many = icmp ugt i64 %since, %limit
  br i1 %many, label %enough, label %no
enough:
  %c1 = add i32 %c, 1
  %cmore = icmp ult i32 %c1, %row
  br i1 %cmore, label %compare, label %yes
yes:
  ret i1 true
no:
  ret i1 false
}

; The thread's next worker that holds a block, the present one last.
define internal ptr @next_holder(ptr %w) {
entry:
  br label %loop
loop:
  %at = phi ptr [ %w, %entry ], [ %n, %next ]
  %p_ring = getelementptr i8, ptr %at, i64 $w_ring
  %n = load ptr, ptr %p_ring
  %p_busy = getelementptr i8, ptr %n, i64 $w_holds_block
  %busy = load i32, ptr %p_busy
  %holds = icmp ne i32 %busy, 0
  br i1 %holds, label %found, label %next
next:
  %round = icmp eq ptr %n, %w
  br i1 %round, label %none, label %loop
found:
  ret ptr %n
none:
  ret ptr null
}

; All workers of this thread only spin: get a further one for a block that has not begun. If there is none, or the card
; holds no more blocks, and nothing happens for long, those under way wait for ever.
define internal ptr @further_worker(ptr %w) {
entry:
  %p_next = getelementptr i8, ptr %w, i64 $w_next_block
  %next = load ptr, ptr %p_next
  %p_total = getelementptr i8, ptr %w, i64 $w_blocks
  %total = load i64, ptr %p_total
  %begun = load atomic i64, ptr %next monotonic, align 8
  %left = icmp ult i64 %begun, %total
  br i1 %left, label %ask, label %count
ask:
  %p_further = getelementptr i8, ptr %w, i64 $w_further
  %further = load ptr, ptr %p_further
  %new = call ptr %further(ptr %w)
  %full = icmp eq ptr %new, null
  br i1 %full, label %count, label %join
join:
  %p_ring = getelementptr i8, ptr %w, i64 $w_ring
  %ring = load ptr, ptr %p_ring
  %p_new_ring = getelementptr i8, ptr %new, i64 $w_ring
  store ptr %ring, ptr %p_new_ring
  store ptr %new, ptr %p_ring
  %p_thread = getelementptr i8, ptr %w, i64 $w_host_thread
  %thread = load i32, ptr %p_thread
  %p_new_thread = getelementptr i8, ptr %new, i64 $w_host_thread
  store i32 %thread, ptr %p_new_thread
  ret ptr %new
count:
  %limit = select i1 %left, i64 $idle_rounds, i64 $idle_rounds_of_all
  %long = call i1 @idle_for_long(ptr %w, i64 %limit)
  br i1 %long, label %stuck, label %none
stuck:
  %left32 = zext i1 %left to i32
  %p_left = getelementptr i8, ptr %w, i64 $w_fault_other
  store i32 %left32, ptr %p_left
  call void @blame_wait(ptr %w)
  br label %none
none:
  ret ptr null
}

; Report the first warp of a block that waits in a loop for another block.
define internal void @blame_wait(ptr %w) cold {
entry:
  br label %find
find:
  %i = phi i32 [ 0, %entry ], [ %i1, %other ]
  %wp = call ptr @warp(ptr %w, i32 %i)
  %p_state = getelementptr i8, ptr %wp, i64 $p_state
  %state = load i32, ptr %p_state
  %ready = icmp eq i32 %state, 0
  br i1 %ready, label %found, label %other
other:
  %i1 = add i32 %i, 1
  br label %find
found:
  %p_site = getelementptr i8, ptr %wp, i64 $p_site
  %site = load i32, ptr %p_site
  %thread = mul i32 %i, 32
  call void @record_fault(ptr %w, i32 $fault_starved, i32 %site, i32 %thread, i64 0)
  ret void
}

; All live warps wait at barriers that cannot open: report the first of them.
define internal void @blame_deadlock(ptr %w) {
entry:
  br label %find
find:
  %i = phi i32 [ 0, %entry ], [ %i1, %other ]
  %wp = call ptr @warp(ptr %w, i32 %i)
  %p_state = getelementptr i8, ptr %wp, i64 $p_state
  %state = load i32, ptr %p_state
  %waits = icmp eq i32 %state, 1
  br i1 %waits, label %found, label %other
other:
  %i1 = add i32 %i, 1
  br label %find
found:
  %p_site = getelementptr i8, ptr %wp, i64 $p_site
  %site = load i32, ptr %p_site
  %thread = mul i32 %i, 32
  call void @record_fault(ptr %w, i32 4, i32 %site, i32 %thread, i64 0)
  ret void
}

; Called when a warp has used its fuel: charge the budget, let others run, stop when the launch is aborted.
define i64 @sgpu_fuel(ptr %w, i32 %site, i32 %lane) {
entry:
  %p_current = getelementptr i8, ptr %w, i64 $w_current
  %i = load i32, ptr %p_current
  %wp = call ptr @warp(ptr %w, i32 %i)
  %p_main = getelementptr i8, ptr %w, i64 $w_main_stack
  %main = load i64, ptr %p_main
  %p_abort = getelementptr i8, ptr %w, i64 $w_abort
  %abort = load ptr, ptr %p_abort
  %stop = load atomic i32, ptr %abort monotonic, align 4
  %stopped = icmp ne i32 %stop, 0
  br i1 %stopped, label %drop, label %charge
drop:
  call void @sgpu_switch(ptr %wp, i64 %main)
  unreachable
charge:
  %p_budget = getelementptr i8, ptr %wp, i64 $p_budget
  %b0 = load i64, ptr %p_budget
  %b1 = sub i64 %b0, $fuel
  store i64 %b1, ptr %p_budget
  %spent = icmp slt i64 %b1, 0
  br i1 %spent, label %runaway, label %share
runaway:
  call void @sgpu_fault(ptr %w, i32 5, i32 %site, i32 %lane, i64 0)
  ret i64 0
share:
  %p_suspends = getelementptr i8, ptr %w, i64 $w_suspends
  %suspends = load i32, ptr %p_suspends
  %s = icmp ne i32 %suspends, 0
  br i1 %s, label %yield, label %out
yield:
  call void @sgpu_switch(ptr %wp, i64 %main)
  br label %out
out:
  ret i64 $fuel
}

; Called when a warp has used its fuel in a loop that waits for another thread: charge the budget, let others run. `works`
; says that the loop also does something.
define i64 @sgpu_spin(ptr %w, i32 %site, i32 %lane, i32 %works) {
entry:
  %p_current = getelementptr i8, ptr %w, i64 $w_current
  %i = load i32, ptr %p_current
  %wp = call ptr @warp(ptr %w, i32 %i)
  %p_main = getelementptr i8, ptr %w, i64 $w_main_stack
  %main = load i64, ptr %p_main
  %p_abort = getelementptr i8, ptr %w, i64 $w_abort
  %abort = load ptr, ptr %p_abort
  %stop = load atomic i32, ptr %abort monotonic, align 4
  %stopped = icmp ne i32 %stop, 0
  br i1 %stopped, label %yield, label %charge
charge:
  %p_budget = getelementptr i8, ptr %wp, i64 $p_budget
  %b0 = load i64, ptr %p_budget
  %b1 = sub i64 %b0, $spin_fuel
  store i64 %b1, ptr %p_budget
  %spent = icmp slt i64 %b1, 0
  br i1 %spent, label %runaway, label %mark
runaway:
  call void @sgpu_fault(ptr %w, i32 5, i32 %site, i32 %lane, i64 0)
  unreachable
mark:
  %p_gave_way = getelementptr i8, ptr %w, i64 $w_gave_way
  store i32 $spinning, ptr %p_gave_way
  %p_site = getelementptr i8, ptr %wp, i64 $p_site
  %before = load i32, ptr %p_site
  store i32 %site, ptr %p_site
  %same = icmp eq i32 %before, %site
  %only = icmp eq i32 %works, 0
  %waits = and i1 %same, %only
  br i1 %waits, label %yield, label %moved
moved:
  %p_moved = getelementptr i8, ptr %w, i64 $w_moved
  store i32 1, ptr %p_moved
  br label %yield
yield:
  call void @sgpu_switch(ptr %wp, i64 %main)
  ret i64 $spin_fuel
}
