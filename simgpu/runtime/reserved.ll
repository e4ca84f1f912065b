; Shared memory that the system keeps for cooperative groups: zero when a block begins, and counted as written.
define internal void @begin_block_reserved(ptr %w) {
entry:
  %p_bytes = getelementptr i8, ptr %w, i64 $w_reserved_bytes
  %bytes = load i64, ptr %p_bytes
  %some = icmp ne i64 %bytes, 0
  br i1 %some, label %clear, label %done
clear:
  %p_place = getelementptr i8, ptr %w, i64 $w_reserved
  %place = load i64, ptr %p_place
  %p_shared = getelementptr i8, ptr %w, i64 $w_shared
  %shared = load ptr, ptr %p_shared
  %first = getelementptr i8, ptr %shared, i64 %place
  call void @llvm.memset.p0.i64(ptr %first, i8 0, i64 %bytes, i1 false)
  %p_shift = getelementptr i8, ptr %w, i64 $w_shadow_shift
  %shift32 = load i32, ptr %p_shift
  %shift = zext i32 %shift32 to i64
  %from = lshr i64 %place, %shift
  %count = lshr i64 %bytes, %shift
  %to = add i64 %from, %count
  %p_writers = getelementptr i8, ptr %w, i64 $w_shadow_writers
  %writers = load ptr, ptr %p_writers
  %p_epoch = getelementptr i8, ptr %w, i64 $w_epoch
  %epoch = load i32, ptr %p_epoch
  %tag = trunc i32 %epoch to i16
  br label %loop
loop:
  %i = phi i64 [ %from, %clear ], [ %i1, %body ]
  %more = icmp ult i64 %i, %to
  br i1 %more, label %body, label %written
body:
  %p = getelementptr i16, ptr %writers, i64 %i
  store i16 %tag, ptr %p
  %i1 = add i64 %i, 1
  br label %loop
written:
  ; What is written in an epoch that is over races with nothing.
  call void @new_epoch(ptr %w)
  br label %done
done:
  ret void
}
