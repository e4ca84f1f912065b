; Workers, blocks, warps as fibers, faults. Names after a dollar sign are byte offsets (runtime/state.py).
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

define internal ptr @warp(ptr %w, i32 %i) alwaysinline {
  %i64 = zext i32 %i to i64
  %o = mul i64 %i64, $warp_bytes
  %o2 = add i64 %o, $w_warp
  %p = getelementptr i8, ptr %w, i64 %o2
  ret ptr %p
}

; One worker: take blocks until none is left or a fault stops the launch.
define void @sgpu_run(ptr %w) {
entry:
  %p_next = getelementptr i8, ptr %w, i64 $w_next_block
  %next = load ptr, ptr %p_next
  %p_total = getelementptr i8, ptr %w, i64 $w_blocks
  %total = load i64, ptr %p_total
  %p_list = getelementptr i8, ptr %w, i64 $w_block_list
  %list = load ptr, ptr %p_list
  %p_abort = getelementptr i8, ptr %w, i64 $w_abort
  %abort = load ptr, ptr %p_abort
  %p_gx = getelementptr i8, ptr %w, i64 $w_grid
  %gx32 = load i32, ptr %p_gx
  %gx = zext i32 %gx32 to i64
  %p_gy = getelementptr i8, ptr %p_gx, i64 4
  %gy32 = load i32, ptr %p_gy
  %gy = zext i32 %gy32 to i64
  %p_x = getelementptr i8, ptr %w, i64 $w_ctaid
  %p_y = getelementptr i8, ptr %p_x, i64 4
  %p_z = getelementptr i8, ptr %p_x, i64 8
  %p_run = getelementptr i8, ptr %w, i64 $w_blocks_run
  br label %loop
loop:
  %i = atomicrmw add ptr %next, i64 1 monotonic
  %more = icmp ult i64 %i, %total
  br i1 %more, label %body, label %done
body:
  %plain = icmp eq ptr %list, null
  br i1 %plain, label %go, label %mapped
mapped:
  %p_entry = getelementptr i64, ptr %list, i64 %i
  %m = load i64, ptr %p_entry
  br label %go
go:
  %b = phi i64 [ %i, %body ], [ %m, %mapped ]
  %x = urem i64 %b, %gx
  %yz = udiv i64 %b, %gx
  %y = urem i64 %yz, %gy
  %z = udiv i64 %yz, %gy
  %x32 = trunc i64 %x to i32
  %y32 = trunc i64 %y to i32
  %z32 = trunc i64 %z to i32
  store i32 %x32, ptr %p_x
  store i32 %y32, ptr %p_y
  store i32 %z32, ptr %p_z
  call void @begin_block_tags(ptr %w, i64 %b)
  call void @run_block(ptr %w)
  %run = load i64, ptr %p_run
  %run1 = add i64 %run, 1
  store i64 %run1, ptr %p_run
  %stop = load atomic i32, ptr %abort monotonic, align 4
  %stopped = icmp ne i32 %stop, 0
  br i1 %stopped, label %done, label %loop
done:
  ret void
}

define internal void @run_block(ptr %w) {
entry:
  call void @begin_block_copies(ptr %w)
  call void @begin_block_shadow(ptr %w)
  call void @begin_block_local(ptr %w)
  %bars = getelementptr i8, ptr %w, i64 $w_barrier
  %bar_bytes = mul i64 $barriers, $barrier_bytes
  call void @llvm.memset.p0.i64(ptr %bars, i8 0, i64 %bar_bytes, i1 false)
  %p_warps = getelementptr i8, ptr %w, i64 $w_warps
  %warps = load i32, ptr %p_warps
  %p_live = getelementptr i8, ptr %w, i64 $w_live
  store i32 %warps, ptr %p_live
  %p_order = getelementptr i8, ptr %w, i64 $w_warp_order
  %order = load ptr, ptr %p_order
  %p_abort = getelementptr i8, ptr %w, i64 $w_abort
  %abort = load ptr, ptr %p_abort
  %p_budget = getelementptr i8, ptr %w, i64 $w_budget
  %budget = load i64, ptr %p_budget
  %p_current = getelementptr i8, ptr %w, i64 $w_current
  %p_main = getelementptr i8, ptr %w, i64 $w_main_stack
  %p_stacks = getelementptr i8, ptr %w, i64 $w_stacks
  %stacks = load i64, ptr %p_stacks
  %p_stack_size = getelementptr i8, ptr %w, i64 $w_stack_size
  %stack_size = load i64, ptr %p_stack_size
  %p_suspends = getelementptr i8, ptr %w, i64 $w_suspends
  %suspends = load i32, ptr %p_suspends
  br label %reset
reset:
  %r = phi i32 [ 0, %entry ], [ %r1, %reset ]
  %rw = call ptr @warp(ptr %w, i32 %r)
  store i64 0, ptr %rw
  %rb = getelementptr i8, ptr %rw, i64 $p_budget
  store i64 %budget, ptr %rb
  %rs = getelementptr i8, ptr %rw, i64 $p_state
  store i32 0, ptr %rs
  %r1 = add i32 %r, 1
  %rmore = icmp ult i32 %r1, %warps
  br i1 %rmore, label %reset, label %round
round:
  br label %scan
scan:
  %k = phi i32 [ 0, %round ], [ %k1, %next ]
  %progress = phi i1 [ false, %round ], [ %progress1, %next ]
  %k64 = zext i32 %k to i64
  %p_i = getelementptr i32, ptr %order, i64 %k64
  %i = load i32, ptr %p_i
  %wp = call ptr @warp(ptr %w, i32 %i)
  %p_state = getelementptr i8, ptr %wp, i64 $p_state
  %state = load i32, ptr %p_state
  %ready = icmp eq i32 %state, 0
  br i1 %ready, label %start, label %next
start:
  %old = load i64, ptr %wp
  %new = icmp eq i64 %old, 0
  br i1 %new, label %boot, label %switch
boot:
  %own = mul i32 %i, %suspends
  %own64 = zext i32 %own to i64
  %place = add i64 %own64, 1
  %up = mul i64 %place, %stack_size
  %top = add i64 %stacks, %up
  %fresh = call i64 @prepare(i64 %top, ptr %w)
  br label %switch
switch:
  %sp = phi i64 [ %old, %start ], [ %fresh, %boot ]
  store i32 %i, ptr %p_current
  call void @new_tag(ptr %w)
  call void @sgpu_switch(ptr %p_main, i64 %sp)
  %stop = load atomic i32, ptr %abort monotonic, align 4
  %stopped = icmp ne i32 %stop, 0
  br i1 %stopped, label %done, label %next
next:
  %progress1 = phi i1 [ %progress, %scan ], [ true, %switch ]
  %k1 = add i32 %k, 1
  %more = icmp ult i32 %k1, %warps
  br i1 %more, label %scan, label %judge
judge:
  %live = load i32, ptr %p_live
  %over = icmp eq i32 %live, 0
  br i1 %over, label %ended, label %alive
ended:
  call void @end_block_shadow(ptr %w)
  br label %done
alive:
  br i1 %progress1, label %round, label %stuck
stuck:
  call void @blame_deadlock(ptr %w)
  ret void
done:
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

; The first function on a fiber: run the warp, then leave for good.
define void @sgpu_fiber(ptr %w) {
  %p_current = getelementptr i8, ptr %w, i64 $w_current
  %i = load i32, ptr %p_current
  %p_entry = getelementptr i8, ptr %w, i64 $w_entry
  %entry = load ptr, ptr %p_entry
  call void %entry(ptr %w, i32 %i)
  %wp = call ptr @warp(ptr %w, i32 %i)
  %p_state = getelementptr i8, ptr %wp, i64 $p_state
  store i32 2, ptr %p_state
  %p_live = getelementptr i8, ptr %w, i64 $w_live
  %live = load i32, ptr %p_live
  %live1 = sub i32 %live, 1
  store i32 %live1, ptr %p_live
  %p_suspends = getelementptr i8, ptr %w, i64 $w_suspends
  %suspends = load i32, ptr %p_suspends
  %s = icmp ne i32 %suspends, 0
  br i1 %s, label %check, label %out
check:
  call void @open_after_exit(ptr %w)
  br label %out
out:
  %p_main = getelementptr i8, ptr %w, i64 $w_main_stack
  %main = load i64, ptr %p_main
  call void @sgpu_switch(ptr %wp, i64 %main)
  unreachable
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

; Record the launch's first fault of this worker and leave the fiber for good.
define void @sgpu_fault(ptr %w, i32 %kind, i32 %site, i32 %lane, i64 %address) cold {
  %p_current = getelementptr i8, ptr %w, i64 $w_current
  %i = load i32, ptr %p_current
  %wp = call ptr @warp(ptr %w, i32 %i)
  %first = mul i32 %i, 32
  %thread = add i32 %first, %lane
  call void @record_fault(ptr %w, i32 %kind, i32 %site, i32 %thread, i64 %address)
  %p_main = getelementptr i8, ptr %w, i64 $w_main_stack
  %main = load i64, ptr %p_main
  call void @sgpu_switch(ptr %wp, i64 %main)
  unreachable
}

define internal void @record_fault(ptr %w, i32 %given, i32 %given_site, i32 %given_thread, i64 %given_address) cold {
  %p_unwritten = getelementptr i8, ptr %w, i64 $w_unwritten
  %unwritten = load i32, ptr %p_unwritten
  %some = icmp ne i32 %unwritten, 0
  %race_shared = icmp eq i32 %given, $fault_race_shared
  %race_copy = icmp eq i32 %given, $fault_race_copy
  %race = or i1 %race_shared, %race_copy
  %plain = xor i1 %race, true
  %because = and i1 %some, %plain
  %p_usite = getelementptr i8, ptr %w, i64 $w_unwritten_site
  %usite = load i32, ptr %p_usite
  %p_uthread = getelementptr i8, ptr %w, i64 $w_unwritten_thread
  %uthread = load i32, ptr %p_uthread
  %p_uaddress = getelementptr i8, ptr %w, i64 $w_unwritten_address
  %uaddress = load i64, ptr %p_uaddress
  %kind = select i1 %because, i32 $fault_uninitialised_shared, i32 %given
  %site = select i1 %because, i32 %usite, i32 %given_site
  %thread = select i1 %because, i32 %uthread, i32 %given_thread
  %address = select i1 %because, i64 %uaddress, i64 %given_address
  %p_kind = getelementptr i8, ptr %w, i64 $w_fault_kind
  store i32 %kind, ptr %p_kind
  %p_site = getelementptr i8, ptr %w, i64 $w_fault_site
  store i32 %site, ptr %p_site
  %p_thread = getelementptr i8, ptr %w, i64 $w_fault_thread
  store i32 %thread, ptr %p_thread
  %p_address = getelementptr i8, ptr %w, i64 $w_fault_address
  store i64 %address, ptr %p_address
  %p_ctaid = getelementptr i8, ptr %w, i64 $w_ctaid
  %p_block = getelementptr i8, ptr %w, i64 $w_fault_block
  %ctaid = load <3 x i32>, ptr %p_ctaid, align 4
  store <3 x i32> %ctaid, ptr %p_block, align 4
  %p_abort = getelementptr i8, ptr %w, i64 $w_abort
  %abort = load ptr, ptr %p_abort
  store atomic i32 1, ptr %abort monotonic, align 4
  ret void
}

declare i32 @llvm.cttz.i32(i32, i1)
declare i32 @llvm.ctpop.i32(i32)
