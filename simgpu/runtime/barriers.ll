; A block's sixteen barriers. Names after a dollar sign are byte offsets (runtime/state.py).
define internal ptr @bar(ptr %w, i32 %i) alwaysinline {
  %i64 = zext i32 %i to i64
  %o = mul i64 %i64, $barrier_bytes
  %o2 = add i64 %o, $w_barrier
  %p = getelementptr i8, ptr %w, i64 %o2
  ret ptr %p
}

; A warp has left: barriers that wait for all threads no longer wait for it.
define internal void @open_after_exit(ptr %w) {
entry:
  %p_live = getelementptr i8, ptr %w, i64 $w_live
  %live = load i32, ptr %p_live
  br label %loop
loop:
  %i = phi i32 [ 0, %entry ], [ %i1, %next ]
  %b = call ptr @bar(ptr %w, i32 %i)
  %p_warps = getelementptr i8, ptr %b, i64 $b_warps
  %warps = load i32, ptr %p_warps
  %p_expected = getelementptr i8, ptr %b, i64 $b_expected
  %expected = load i32, ptr %p_expected
  %some = icmp ne i32 %warps, 0
  %all = icmp eq i32 %expected, 0
  %full = icmp eq i32 %warps, %live
  %c1 = and i1 %some, %all
  %c2 = and i1 %c1, %full
  br i1 %c2, label %open, label %next
open:
  call void @open_barrier(ptr %w, i32 %i)
  br label %next
next:
  %i1 = add i32 %i, 1
  %more = icmp ult i32 %i1, $barriers
  br i1 %more, label %loop, label %done
done:
  ret void
}

; Wake the warps that wait at a barrier, give them the votes, and reset it.
define internal void @open_barrier(ptr %w, i32 %id) {
entry:
  call void @new_epoch(ptr %w)
  %p_n = getelementptr i8, ptr %w, i64 $w_warps
  %n = load i32, ptr %p_n
  br label %loop
loop:
  %i = phi i32 [ 0, %entry ], [ %i1, %next ]
  %wp = call ptr @warp(ptr %w, i32 %i)
  %p_state = getelementptr i8, ptr %wp, i64 $p_state
  %state = load i32, ptr %p_state
  %p_bar = getelementptr i8, ptr %wp, i64 $p_barrier
  %at = load i32, ptr %p_bar
  %waits = icmp eq i32 %state, 1
  %here = icmp eq i32 %at, %id
  %both = and i1 %waits, %here
  br i1 %both, label %wake, label %next
wake:
  store i32 0, ptr %p_state
  br label %next
next:
  %i1 = add i32 %i, 1
  %more = icmp ult i32 %i1, %n
  br i1 %more, label %loop, label %reset
reset:
  %b = call ptr @bar(ptr %w, i32 %id)
  %p_count = getelementptr i8, ptr %b, i64 $b_count
  %p_all = getelementptr i8, ptr %b, i64 $b_all
  %p_any = getelementptr i8, ptr %b, i64 $b_any
  %count = load i32, ptr %p_count
  %nall = load i32, ptr %p_all
  %any = load i32, ptr %p_any
  call void @give_votes(ptr %w, i32 %id, i32 %count, i32 %nall, i32 %any)
  call void @llvm.memset.p0.i64(ptr %b, i8 0, i64 $barrier_bytes, i1 false)
  ret void
}

; Each warp at the barrier asked for one kind of vote in `result`: 1 count, 2 all, 3 any.
define internal void @give_votes(ptr %w, i32 %id, i32 %count, i32 %notall, i32 %any) {
entry:
  %p_n = getelementptr i8, ptr %w, i64 $w_warps
  %n = load i32, ptr %p_n
  %isall = icmp eq i32 %notall, 0
  %all = zext i1 %isall to i32
  br label %loop
loop:
  %i = phi i32 [ 0, %entry ], [ %i1, %next ]
  %wp = call ptr @warp(ptr %w, i32 %i)
  %p_bar = getelementptr i8, ptr %wp, i64 $p_barrier
  %at = load i32, ptr %p_bar
  %here = icmp eq i32 %at, %id
  %p_result = getelementptr i8, ptr %wp, i64 $p_result
  br i1 %here, label %vote, label %next
vote:
  %kind = load i32, ptr %p_result
  %isc = icmp eq i32 %kind, 1
  %isa = icmp eq i32 %kind, 2
  %r1 = select i1 %isa, i32 %all, i32 %any
  %r2 = select i1 %isc, i32 %count, i32 %r1
  store i32 %r2, ptr %p_result
  store i32 -1, ptr %p_bar
  br label %next
next:
  %i1 = add i32 %i, 1
  %more = icmp ult i32 %i1, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}

; bar.sync / bar.arrive / bar.red. `threads` 0 means all of the block; `vote` asks for a kind of result and
; `votes` are the lanes whose predicate holds.
define i32 @sgpu_barrier(ptr %w, i32 %id, i32 %threads, i32 %mask, i32 %live, i32 %site, i32 %wait, i32 %vote, i32 %votes) {
entry:
  %p_current = getelementptr i8, ptr %w, i64 $w_current
  %i = load i32, ptr %p_current
  %same = icmp eq i32 %mask, %live
  %inrange = icmp ult i32 %id, $barriers
  %fine = and i1 %same, %inrange
  br i1 %fine, label %arrive, label %divergent
divergent:
  %absent = xor i32 %mask, %live
  %none = icmp eq i32 %absent, 0
  %blame = select i1 %none, i32 %mask, i32 %absent
  %lane = call i32 @llvm.cttz.i32(i32 %blame, i1 false)
  call void @sgpu_fault(ptr %w, i32 3, i32 %site, i32 %lane, i64 0)
  ret i32 0
arrive:
  %wp = call ptr @warp(ptr %w, i32 %i)
  %b = call ptr @bar(ptr %w, i32 %id)
  %p_arrived = getelementptr i8, ptr %b, i64 $b_arrived
  %a0 = load i32, ptr %p_arrived
  %a1 = add i32 %a0, 32
  store i32 %a1, ptr %p_arrived
  %p_bw = getelementptr i8, ptr %b, i64 $b_warps
  %w0 = load i32, ptr %p_bw
  %w1 = add i32 %w0, 1
  store i32 %w1, ptr %p_bw
  %p_expected = getelementptr i8, ptr %b, i64 $b_expected
  store i32 %threads, ptr %p_expected
  %pop = call i32 @llvm.ctpop.i32(i32 %votes)
  %p_count = getelementptr i8, ptr %b, i64 $b_count
  %c0 = load i32, ptr %p_count
  %c1 = add i32 %c0, %pop
  store i32 %c1, ptr %p_count
  %missing = xor i32 %votes, %mask
  %p_all = getelementptr i8, ptr %b, i64 $b_all
  %n0 = load i32, ptr %p_all
  %n1 = or i32 %n0, %missing
  store i32 %n1, ptr %p_all
  %p_any = getelementptr i8, ptr %b, i64 $b_any
  %y0 = load i32, ptr %p_any
  %voted = icmp ne i32 %votes, 0
  %votedi = zext i1 %voted to i32
  %y1 = or i32 %y0, %votedi
  store i32 %y1, ptr %p_any
  %waits = icmp ne i32 %wait, 0
  %p_bar = getelementptr i8, ptr %wp, i64 $p_barrier
  %p_result = getelementptr i8, ptr %wp, i64 $p_result
  %p_state = getelementptr i8, ptr %wp, i64 $p_state
  br i1 %waits, label %mark, label %test
mark:
  store i32 %id, ptr %p_bar
  store i32 %vote, ptr %p_result
  store i32 1, ptr %p_state
  %p_site = getelementptr i8, ptr %wp, i64 $p_site
  store i32 %site, ptr %p_site
  br label %test
test:
  %p_live = getelementptr i8, ptr %w, i64 $w_live
  %livewarps = load i32, ptr %p_live
  %isall = icmp eq i32 %threads, 0
  %fullall = icmp uge i32 %w1, %livewarps
  %fullsome = icmp uge i32 %a1, %threads
  %full = select i1 %isall, i1 %fullall, i1 %fullsome
  br i1 %full, label %open, label %sleep
open:
  call void @open_barrier(ptr %w, i32 %id)
  br label %out
sleep:
  br i1 %waits, label %switch, label %out
switch:
  %p_gave_way = getelementptr i8, ptr %w, i64 $w_gave_way
  store i32 $at_barrier, ptr %p_gave_way
  %p_main = getelementptr i8, ptr %w, i64 $w_main_stack
  %main = load i64, ptr %p_main
  call void @sgpu_switch(ptr %wp, i64 %main)
  br label %out
out:
  %result = load i32, ptr %p_result
  ret i32 %result
}
