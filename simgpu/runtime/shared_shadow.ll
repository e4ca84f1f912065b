; Shadow of a block's shared memory: for each cell of 1, 2 or 4 bytes, who wrote it last and who read it last.
; A tag is an epoch plus a code: a warp's number for plain accesses, 32 more for synchronising ones (atomics, volatile),
; $many_sync for several synchronising writers, $many_readers for several readers; the highest tag of all stands for a
; copy that is under way (copies.ll). Barriers and fences open an epoch, so tags below the present epoch are ordered
; before it; tags below the block's first are from blocks before this one, or stand for a value stored here that is itself
; unwritten (unwritten.ll).
define internal void @new_epoch(ptr %w) {
entry:
  %p_unwritten = getelementptr i8, ptr %w, i64 $w_unwritten
  %unwritten = load i32, ptr %p_unwritten
  %some = icmp ne i32 %unwritten, 0
  br i1 %some, label %stop, label %step
stop:
  call void @sgpu_fault(ptr %w, i32 $fault_uninitialised, i32 0, i32 0, i64 0)
  unreachable
step:
  %p_epoch = getelementptr i8, ptr %w, i64 $w_epoch
  %e0 = load i32, ptr %p_epoch
  %e1 = add i32 %e0, $epoch_step
  store i32 %e1, ptr %p_epoch
  %full = icmp ugt i32 %e1, $last_epoch
  br i1 %full, label %renew, label %tag
renew:
  call void @renew_shadow(ptr %w)
  br label %tag
tag:
  call void @new_tag(ptr %w)
  ret void
}

define internal void @new_tag(ptr %w) {
  %p_epoch = getelementptr i8, ptr %w, i64 $w_epoch
  %e = load i32, ptr %p_epoch
  %p_current = getelementptr i8, ptr %w, i64 $w_current
  %i = load i32, ptr %p_current
  %t = add i32 %e, %i
  %p_tag = getelementptr i8, ptr %w, i64 $w_tag
  store i32 %t, ptr %p_tag
  ret void
}

; Order everything that the block did before what it will do: a fence, or an access that acquires.
define void @sgpu_order(ptr %w) {
  call void @new_epoch(ptr %w)
  ret void
}

; The epochs are used up: keep only which cells this block has written.
define internal void @renew_shadow(ptr %w) {
entry:
  %p_cells = getelementptr i8, ptr %w, i64 $w_shadow_cells
  %cells = load i64, ptr %p_cells
  %p_ws = getelementptr i8, ptr %w, i64 $w_shadow_writers
  %ws = load ptr, ptr %p_ws
  %p_rs = getelementptr i8, ptr %w, i64 $w_shadow_readers
  %rs = load ptr, ptr %p_rs
  %p_first = getelementptr i8, ptr %w, i64 $w_first_epoch
  %first32 = load i32, ptr %p_first
  %first = trunc i32 %first32 to i16
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i1, %body ]
  %more = icmp ult i64 %i, %cells
  br i1 %more, label %body, label %done
body:
  %p_w = getelementptr i16, ptr %ws, i64 %i
  %t = load i16, ptr %p_w
  %written = icmp uge i16 %t, %first
  %new = select i1 %written, i16 $epoch_step, i16 0
  %pending = icmp eq i16 %t, -1
  %new1 = select i1 %pending, i16 -1, i16 %new
  store i16 %new1, ptr %p_w
  %p_r = getelementptr i16, ptr %rs, i64 %i
  store i16 0, ptr %p_r
  %i1 = add i64 %i, 1
  br label %loop
done:
  store i32 $epoch_step, ptr %p_first
  %second = add i32 $epoch_step, $epoch_step
  %p_epoch = getelementptr i8, ptr %w, i64 $w_epoch
  store i32 %second, ptr %p_epoch
  ret void
}

; A block begins: none of its cells is written. Its shared memory is filled with a pattern that reads as NaN.
define internal void @begin_block_shadow(ptr %w) {
entry:
  call void @new_epoch(ptr %w)
  %p_epoch = getelementptr i8, ptr %w, i64 $w_epoch
  %e = load i32, ptr %p_epoch
  %p_first = getelementptr i8, ptr %w, i64 $w_first_epoch
  store i32 %e, ptr %p_first
  %p_shared = getelementptr i8, ptr %w, i64 $w_shared
  %shared = load ptr, ptr %p_shared
  %p_size = getelementptr i8, ptr %w, i64 $w_shared_size
  %size = load i64, ptr %p_size
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %i1, %body ]
  %more = icmp ult i64 %i, %size
  br i1 %more, label %body, label %done
body:
  %p = getelementptr i8, ptr %shared, i64 %i
  store <16 x i32> splat (i32 $poison), ptr %p, align 64
  %i1 = add i64 %i, 64
  br label %loop
done:
  ret void
}

; One warp-wide access to shared memory by offsets that are in bounds. `action`: 1 reads, 2 writes, 4 synchronises;
; a cell has 1 << `shift` bytes. A race does not return, except for a plain write: the lanes that may race come back,
; since a write that changes nothing is none. For a read, those lanes come back that read what nothing has written.
define i32 @sgpu_shadow_shared(ptr %w, i32 %site, <32 x i64> %offsets, i32 %mask, i32 %size, i32 %shift, i32 %action) {
entry:
  %none = icmp eq i32 %mask, 0
  br i1 %none, label %nothing, label %choose
nothing:
  ret i32 0
choose:
  %kind = and i32 %action, 7
  %only_reads = icmp eq i32 %kind, 1
  %only_writes = icmp eq i32 %kind, 2
  %plain = or i1 %only_reads, %only_writes
  br i1 %plain, label %vector, label %scalar
vector:
  %done = call i1 @shadow_vectors(ptr %w, <32 x i64> %offsets, i32 %mask, i32 %size, i32 %shift, i1 %only_writes)
  br i1 %done, label %nothing, label %scalar
scalar:
  %places = alloca [32 x i64], align 64
  store <32 x i64> %offsets, ptr %places, align 64
  %size64 = zext i32 %size to i64
  %shift64 = zext i32 %shift to i64
  br label %loop
loop:
  %rest = phi i32 [ %mask, %scalar ], [ %rest1, %body ]
  %suspects = phi i32 [ 0, %scalar ], [ %suspects1, %body ]
  %some = icmp ne i32 %rest, 0
  br i1 %some, label %body, label %out
body:
  %lane = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %minus = sub i32 %rest, 1
  %rest1 = and i32 %rest, %minus
  %lane64 = zext i32 %lane to i64
  %p_o = getelementptr i64, ptr %places, i64 %lane64
  %o = load i64, ptr %p_o
  %bad = call i1 @shadow_lane(ptr %w, i32 %site, i64 %o, i32 %lane, i64 %size64, i64 %shift64, i32 %action)
  %bad32 = zext i1 %bad to i32
  %bit = shl i32 %bad32, %lane
  %suspects1 = or i32 %suspects, %bit
  br label %loop
out:
  ret i32 %suspects
}

; The same for a plain access by vectors of tags, as far as nothing is wrong: false if the cells have to be looked at.
define internal i1 @shadow_vectors(ptr %w, <32 x i64> %offsets, i32 %mask, i32 %size, i32 %shift, i1 %writes) {
entry:
  %shift64 = zext i32 %shift to i64
  %one = insertelement <32 x i64> poison, i64 %shift64, i64 0
  %shifts = shufflevector <32 x i64> %one, <32 x i64> poison, <32 x i32> zeroinitializer
  %cells = lshr <32 x i64> %offsets, %shifts
  %places = shl <32 x i64> %cells, splat (i64 1)
  %count = lshr i32 %size, %shift
  %few = icmp ult i32 %count, 4
  br i1 %few, label %small, label %large
small:
  %single = icmp eq i32 %count, 1
  %fine = call i1 @shadow_vector_i32(ptr %w, <32 x i64> %places, i32 %mask, i1 %writes, i1 %single)
  ret i1 %fine
large:
  %k = phi i32 [ 0, %entry ], [ %k1, %next ]
  %k64 = zext i32 %k to i64
  %skip = shl i64 %k64, 1
  %skip1 = insertelement <32 x i64> poison, i64 %skip, i64 0
  %skips = shufflevector <32 x i64> %skip1, <32 x i64> poison, <32 x i32> zeroinitializer
  %here = add <32 x i64> %places, %skips
  %good = call i1 @shadow_vector_i64(ptr %w, <32 x i64> %here, i32 %mask, i1 %writes, i1 false)
  br i1 %good, label %next, label %no
next:
  %k1 = add i32 %k, 4
  %more = icmp ult i32 %k1, %count
  br i1 %more, label %large, label %yes
yes:
  ret i1 true
no:
  ret i1 false
}

; One lane's access; return whether a plain write may race, or whether a read finds what nothing has written.
define internal i1 @shadow_lane(ptr %w, i32 %site, i64 %o, i32 %lane, i64 %size, i64 %shift, i32 %action) {
entry:
  %p_ws = getelementptr i8, ptr %w, i64 $w_shadow_writers
  %ws = load ptr, ptr %p_ws
  %p_rs = getelementptr i8, ptr %w, i64 $w_shadow_readers
  %rs = load ptr, ptr %p_rs
  %p_epoch = getelementptr i8, ptr %w, i64 $w_epoch
  %epoch = load i32, ptr %p_epoch
  %p_tag = getelementptr i8, ptr %w, i64 $w_tag
  %tag = load i32, ptr %p_tag
  %synctag = add i32 %tag, 32
  %firstsync = add i32 %epoch, 32
  %manysync = add i32 %epoch, $many_sync
  %manyreaders = add i32 %epoch, $many_readers
  %rbit = and i32 %action, 1
  %reads = icmp ne i32 %rbit, 0
  %wbit = and i32 %action, 2
  %writes = icmp ne i32 %wbit, 0
  %sbit = and i32 %action, 4
  %syncs = icmp ne i32 %sbit, 0
  %plain = xor i1 %syncs, true
  %soft = icmp eq i32 %action, 2
  %hard = xor i1 %soft, true
  %first = lshr i64 %o, %shift
  %count = lshr i64 %size, %shift
  %end = add i64 %first, %count
  br label %loop
loop:
  %i = phi i64 [ %first, %entry ], [ %i1, %next ]
  %suspect = phi i1 [ false, %entry ], [ %suspect2, %next ]
  %p_w = getelementptr i16, ptr %ws, i64 %i
  %w16 = load i16, ptr %p_w
  %wt = zext i16 %w16 to i32
  %p_r = getelementptr i16, ptr %rs, i64 %i
  %r16 = load i16, ptr %p_r
  %rt = zext i16 %r16 to i32
  %pending = icmp eq i32 %wt, $pending_copy
  %early = and i1 %pending, %reads
  br i1 %early, label %too_early, label %sides
too_early:
  call void @sgpu_fault(ptr %w, i32 $fault_race_copy, i32 %site, i32 %lane, i64 %o)
  unreachable
sides:
  %wnow = icmp uge i32 %wt, %epoch
  %wsync0 = icmp uge i32 %wt, %firstsync
  %mine = icmp eq i32 %wt, %tag
  %minesync = icmp eq i32 %wt, %synctag
  %own = or i1 %mine, %minesync
  %other = xor i1 %own, true
  %both = and i1 %wsync0, %syncs
  %apart = xor i1 %both, true
  %c0 = and i1 %wnow, %other
  %wclash = and i1 %c0, %apart
  %rnow = icmp uge i32 %rt, %epoch
  %rother = icmp ne i32 %rt, %tag
  %c1 = and i1 %rnow, %rother
  %c2 = and i1 %c1, %plain
  %rclash = and i1 %c2, %writes
  %clash = or i1 %wclash, %rclash
  %suspect1 = or i1 %suspect, %clash
  br i1 %clash, label %suspicious, label %clear
suspicious:
  %theirs = select i1 %wclash, i32 %wt, i32 %rt
  %theircode = sub i32 %theirs, %epoch
  %p_other = getelementptr i8, ptr %w, i64 $w_fault_other
  store i32 %theircode, ptr %p_other
  %reader = xor i1 %wclash, true
  %reader32 = zext i1 %reader to i32
  %p_reads = getelementptr i8, ptr %w, i64 $w_fault_other_reads
  store i32 %reader32, ptr %p_reads
  br i1 %hard, label %race, label %clear
race:
  call void @sgpu_fault(ptr %w, i32 $fault_race_shared, i32 %site, i32 %lane, i64 %o)
  unreachable
clear:
  br i1 %reads, label %read, label %write
read:
  %p_firstepoch = getelementptr i8, ptr %w, i64 $w_first_epoch
  %blockfirst = load i32, ptr %p_firstepoch
  %never = icmp ult i32 %wt, %blockfirst
  br i1 %never, label %unwritten, label %note
unwritten:
  %cell = shl i64 %i, %shift
  %word = and i64 %cell, -4
  %p_shared = getelementptr i8, ptr %w, i64 $w_shared
  %shared = load ptr, ptr %p_shared
  %p_word = getelementptr i8, ptr %shared, i64 %word
  %content = load i32, ptr %p_word
  %poisoned = icmp eq i32 %content, $poison
  br i1 %poisoned, label %uninitialised, label %note
uninitialised:
  br i1 %suspect, label %note, label %tell
tell:
  %pointer = or i64 %o, $shared_base
  call void @log_unwritten(ptr %w, i32 %site, i32 %lane, i64 %pointer)
  %updates = and i1 %syncs, %writes
  br i1 %updates, label %use, label %note
use:
  ; An atomic computes with what it finds.
  %own_bit = shl i32 1, %lane
  call void @sgpu_use_unwritten(ptr %w, i32 %site, i32 %own_bit)
  br label %note
note:
  %found = phi i1 [ false, %read ], [ false, %unwritten ], [ true, %uninitialised ], [ true, %tell ], [ true, %use ]
  %newr = select i1 %c1, i32 %manyreaders, i32 %tag
  %keptr = select i1 %plain, i32 %newr, i32 %rt
  %newr16 = trunc i32 %keptr to i16
  store i16 %newr16, ptr %p_r
  br label %write
write:
  %found1 = phi i1 [ false, %clear ], [ %found, %note ]
  %suspect2 = or i1 %suspect1, %found1
  br i1 %writes, label %stamp, label %next
stamp:
  %fresh = xor i1 %wnow, true
  %s0 = or i1 %fresh, %minesync
  %s1 = select i1 %s0, i32 %synctag, i32 %manysync
  %s2 = select i1 %mine, i32 %tag, i32 %s1
  %neww = select i1 %syncs, i32 %s2, i32 %tag
  %neww16 = trunc i32 %neww to i16
  store i16 %neww16, ptr %p_w
  br label %next
next:
  %i1 = add i64 %i, 1
  %more = icmp ult i64 %i1, %end
  br i1 %more, label %loop, label %done
done:
  ret i1 %suspect2
}

; The block has ended, and with it the wait for somebody who writes what was used.
define internal void @end_block_shadow(ptr %w) {
entry:
  %p_unwritten = getelementptr i8, ptr %w, i64 $w_unwritten
  %unwritten = load i32, ptr %p_unwritten
  %some = icmp ne i32 %unwritten, 0
  br i1 %some, label %stop, label %out
stop:
  call void @record_fault(ptr %w, i32 $fault_uninitialised, i32 0, i32 0, i64 0)
  br label %out
out:
  ret void
}

; The same for generic addresses, of which those in the shared window count.
define i32 @sgpu_shadow_generic(ptr %w, i32 %site, <32 x i64> %a, i32 %mask, i32 %size, i32 %shift, i32 %action) {
entry:
  %tops = lshr <32 x i64> %a, splat (i64 56)
  %inshared = icmp eq <32 x i64> %tops, splat (i64 $shared_window)
  %bits = bitcast <32 x i1> %inshared to i32
  %those = and i32 %bits, %mask
  %some = icmp ne i32 %those, 0
  br i1 %some, label %check, label %none
check:
  %offsets = and <32 x i64> %a, splat (i64 72057594037927935)
  %r = call i32 @sgpu_shadow_shared(ptr %w, i32 %site, <32 x i64> %offsets, i32 %those, i32 %size, i32 %shift, i32 %action)
  ret i32 %r
none:
  ret i32 0
}

; Report the first of the lanes whose writes race; none if the mask is empty.
define void @sgpu_blame_write(ptr %w, i32 %kind, i32 %site, i32 %guilty, <32 x i64> %a) cold {
entry:
  %some = icmp ne i32 %guilty, 0
  br i1 %some, label %blame, label %out
blame:
  %places = alloca [32 x i64], align 64
  store <32 x i64> %a, ptr %places, align 64
  %lane = call i32 @llvm.cttz.i32(i32 %guilty, i1 false)
  %lane64 = zext i32 %lane to i64
  %p = getelementptr i64, ptr %places, i64 %lane64
  %address = load i64, ptr %p
  call void @sgpu_fault(ptr %w, i32 %kind, i32 %site, i32 %lane, i64 %address)
  ret void
out:
  ret void
}
