; Workers, blocks, warps as fibers, faults. Names after a dollar sign are byte offsets (runtime/state.py).
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

define internal ptr @warp(ptr %w, i32 %i) alwaysinline {
  %i64 = zext i32 %i to i64
  %o = mul i64 %i64, $warp_bytes
  %o2 = add i64 %o, $w_warp
  %p = getelementptr i8, ptr %w, i64 %o2
  ret ptr %p
}

; One host thread: run blocks until none is left or a fault stops the launch. A worker holds one block at a time. Where
; a block only spins, the thread goes on with the next of its workers, and takes a further one if all of them only spin
; while blocks have not begun: blocks that wait for each other are under way together, as on a card.
define void @sgpu_run(ptr %first) {
entry:
  %p_abort = getelementptr i8, ptr %first, i64 $w_abort
  %abort = load ptr, ptr %p_abort
  br label %loop
loop:
  %w = phi ptr [ %first, %entry ], [ %w, %ended ], [ %other, %step ], [ %fresh, %joined ]
  %calm = phi i32 [ 0, %entry ], [ 0, %ended ], [ %calm2, %step ], [ 0, %joined ]
  %workers = phi i32 [ 1, %entry ], [ %workers, %ended ], [ %workers, %step ], [ %workers1, %joined ]
  %p_busy = getelementptr i8, ptr %w, i64 $w_holds_block
  %busy = load i32, ptr %p_busy
  %holds = icmp ne i32 %busy, 0
  br i1 %holds, label %run, label %take
take:
  %taken = call i1 @take_block(ptr %w)
  br i1 %taken, label %begin, label %step
begin:
  store i32 1, ptr %p_busy
  br label %run
run:
  %spins = call i1 @run_block(ptr %w)
  br i1 %spins, label %spun, label %over
over:
  store i32 0, ptr %p_busy
  %p_run = getelementptr i8, ptr %w, i64 $w_blocks_run
  %run0 = load i64, ptr %p_run
  %run1 = add i64 %run0, 1
  store i64 %run1, ptr %p_run
  call void @note_progress(ptr %w)
  %stop = load atomic i32, ptr %abort monotonic, align 4
  %stopped = icmp ne i32 %stop, 0
  br i1 %stopped, label %done, label %ended
ended:
  br label %loop
spun:
  %p_moved = getelementptr i8, ptr %w, i64 $w_moved
  %moved = load i32, ptr %p_moved
  store i32 0, ptr %p_moved
  %still = icmp eq i32 %moved, 0
  br i1 %still, label %idle, label %alive
alive:
  call void @note_progress(ptr %w)
  br label %idle
idle:
  %calm1 = add i32 %calm, 1
  %round = icmp uge i32 %calm1, %workers
  br i1 %round, label %widen, label %step
widen:
  %fresh = call ptr @further_worker(ptr %w)
  %none = icmp eq ptr %fresh, null
  br i1 %none, label %step, label %joined
joined:
  %workers1 = add i32 %workers, 1
  br label %loop
step:
  %calm2 = phi i32 [ %calm, %take ], [ %calm1, %idle ], [ 0, %widen ]
  %other = call ptr @next_holder(ptr %w)
  %last = icmp eq ptr %other, null
  %halt = load atomic i32, ptr %abort monotonic, align 4
  %halted = icmp ne i32 %halt, 0
  %leave = or i1 %last, %halted
  br i1 %leave, label %done, label %loop
done:
  ret void
}

; Give a worker the next block; none may be left.
define internal i1 @take_block(ptr %w) {
entry:
  %p_next = getelementptr i8, ptr %w, i64 $w_next_block
  %next = load ptr, ptr %p_next
  %p_total = getelementptr i8, ptr %w, i64 $w_blocks
  %total = load i64, ptr %p_total
  %i = atomicrmw add ptr %next, i64 1 monotonic
  %more = icmp ult i64 %i, %total
  br i1 %more, label %body, label %none
body:
  %p_list = getelementptr i8, ptr %w, i64 $w_block_list
  %list = load ptr, ptr %p_list
  %plain = icmp eq ptr %list, null
  br i1 %plain, label %go, label %mapped
mapped:
  %p_entry = getelementptr i64, ptr %list, i64 %i
  %m = load i64, ptr %p_entry
  br label %go
go:
  %b = phi i64 [ %i, %body ], [ %m, %mapped ]
  %p_gx = getelementptr i8, ptr %w, i64 $w_grid
  %gx32 = load i32, ptr %p_gx
  %gx = zext i32 %gx32 to i64
  %p_gy = getelementptr i8, ptr %p_gx, i64 4
  %gy32 = load i32, ptr %p_gy
  %gy = zext i32 %gy32 to i64
  %x = urem i64 %b, %gx
  %yz = udiv i64 %b, %gx
  %y = urem i64 %yz, %gy
  %z = udiv i64 %yz, %gy
  %x32 = trunc i64 %x to i32
  %y32 = trunc i64 %y to i32
  %z32 = trunc i64 %z to i32
  %p_x = getelementptr i8, ptr %w, i64 $w_ctaid
  %p_y = getelementptr i8, ptr %p_x, i64 4
  %p_z = getelementptr i8, ptr %p_x, i64 8
  store i32 %x32, ptr %p_x
  store i32 %y32, ptr %p_y
  store i32 %z32, ptr %p_z
  call void @begin_block_tags(ptr %w, i64 %b)
  call void @begin_block(ptr %w)
  ret i1 true
none:
  ret i1 false
}

define internal void @begin_block(ptr %w) {
entry:
  call void @begin_block_copies(ptr %w)
  call void @begin_block_shadow(ptr %w)
  call void @begin_block_reserved(ptr %w)
  call void @begin_block_local(ptr %w)
  %bars = getelementptr i8, ptr %w, i64 $w_barrier
  %bar_bytes = mul i64 $barriers, $barrier_bytes
  call void @llvm.memset.p0.i64(ptr %bars, i8 0, i64 %bar_bytes, i1 false)
  %p_warps = getelementptr i8, ptr %w, i64 $w_warps
  %warps = load i32, ptr %p_warps
  %p_live = getelementptr i8, ptr %w, i64 $w_live
  store i32 %warps, ptr %p_live
  %p_budget = getelementptr i8, ptr %w, i64 $w_budget
  %budget = load i64, ptr %p_budget
  br label %reset
reset:
  %r = phi i32 [ 0, %entry ], [ %r1, %reset ]
  %rw = call ptr @warp(ptr %w, i32 %r)
  store i64 0, ptr %rw
  %rb = getelementptr i8, ptr %rw, i64 $p_budget
  store i64 %budget, ptr %rb
  %rs = getelementptr i8, ptr %rw, i64 $p_state
  store i32 0, ptr %rs
  %rt = getelementptr i8, ptr %rw, i64 $p_site
  store i32 -1, ptr %rt
  %r1 = add i32 %r, 1
  %rmore = icmp ult i32 %r1, %warps
  br i1 %rmore, label %reset, label %out
out:
  ret void
}

; Run a block's warps in turn until it ends, a fault stops it, or its warps only spin, or wait at barriers for those that
; do: then true.
define internal i1 @run_block(ptr %w) {
entry:
  %p_warps = getelementptr i8, ptr %w, i64 $w_warps
  %warps = load i32, ptr %p_warps
  %p_live = getelementptr i8, ptr %w, i64 $w_live
  %p_order = getelementptr i8, ptr %w, i64 $w_warp_order
  %order = load ptr, ptr %p_order
  %p_abort = getelementptr i8, ptr %w, i64 $w_abort
  %abort = load ptr, ptr %p_abort
  %p_current = getelementptr i8, ptr %w, i64 $w_current
  %p_main = getelementptr i8, ptr %w, i64 $w_main_stack
  %p_stacks = getelementptr i8, ptr %w, i64 $w_stacks
  %stacks = load i64, ptr %p_stacks
  %p_stack_size = getelementptr i8, ptr %w, i64 $w_stack_size
  %stack_size = load i64, ptr %p_stack_size
  %p_suspends = getelementptr i8, ptr %w, i64 $w_suspends
  %suspends = load i32, ptr %p_suspends
  %p_gave_way = getelementptr i8, ptr %w, i64 $w_gave_way
  %p_further = getelementptr i8, ptr %w, i64 $w_further
  %further = load ptr, ptr %p_further
  %alone = icmp eq ptr %further, null
  br label %round
round:
  br label %scan
scan:
  %k = phi i32 [ 0, %round ], [ %k1, %next ]
  %progress = phi i1 [ false, %round ], [ %progress1, %next ]
  %busy = phi i1 [ %alone, %round ], [ %busy1, %next ]
  %spins = phi i1 [ false, %round ], [ %spins1, %next ]
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
  store i32 0, ptr %p_gave_way
  call void @new_tag(ptr %w)
  call void @sgpu_switch(ptr %p_main, i64 %sp)
  %why = load i32, ptr %p_gave_way
  %worked = icmp eq i32 %why, 0
  %busy2 = or i1 %busy, %worked
  %spun = icmp eq i32 %why, $spinning
  %spins2 = or i1 %spins, %spun
  %stop = load atomic i32, ptr %abort monotonic, align 4
  %stopped = icmp ne i32 %stop, 0
  br i1 %stopped, label %done, label %next
next:
  %progress1 = phi i1 [ %progress, %scan ], [ true, %switch ]
  %busy1 = phi i1 [ %busy, %scan ], [ %busy2, %switch ]
  %spins1 = phi i1 [ %spins, %scan ], [ %spins2, %switch ]
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
  br i1 %progress1, label %going, label %stuck
going:
  %works = xor i1 %spins1, true
  %goes_on = or i1 %busy1, %works
  br i1 %goes_on, label %again, label %waits
again:
  call void @note_progress(ptr %w)
  br label %round
waits:
  ret i1 true
stuck:
  call void @blame_deadlock(ptr %w)
  br label %done
done:
  ret i1 false
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
  %kind = select i1 %because, i32 $fault_uninitialised, i32 %given
  %site = select i1 %because, i32 %usite, i32 %given_site
  %thread = select i1 %because, i32 %uthread, i32 %given_thread
  %p_kind = getelementptr i8, ptr %w, i64 $w_fault_kind
  store i32 %kind, ptr %p_kind
  %p_site = getelementptr i8, ptr %w, i64 $w_fault_site
  store i32 %site, ptr %p_site
  %p_thread = getelementptr i8, ptr %w, i64 $w_fault_thread
  store i32 %thread, ptr %p_thread
  %p_address = getelementptr i8, ptr %w, i64 $w_fault_address
  store i64 %given_address, ptr %p_address
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
