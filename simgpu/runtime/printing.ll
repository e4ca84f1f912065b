; Device printf: each lane appends a record of its format's address and its argument bytes to the worker's buffer.
; As on a real card, what no longer fits is dropped.
define void @sgpu_print(ptr %w, i32 %site, <32 x i64> %formats, <32 x i64> %arguments, i32 %mask) {
entry:
  %fs = alloca [32 x i64], align 64
  %as = alloca [32 x i64], align 64
  store <32 x i64> %formats, ptr %fs, align 64
  store <32 x i64> %arguments, ptr %as, align 64
  %p_buffer = getelementptr i8, ptr %w, i64 $w_print_buffer
  %buffer = load ptr, ptr %p_buffer
  %p_size = getelementptr i8, ptr %w, i64 $w_print_size
  %size = load i64, ptr %p_size
  %p_used = getelementptr i8, ptr %w, i64 $w_print_used
  br label %loop
loop:
  %rest = phi i32 [ %mask, %entry ], [ %rest1, %next ]
  %some = icmp ne i32 %rest, 0
  br i1 %some, label %lane, label %done
lane:
  %i = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %minus = sub i32 %rest, 1
  %rest1 = and i32 %rest, %minus
  %i64 = zext i32 %i to i64
  %used = load i64, ptr %p_used
  %end = add i64 %used, $print_record
  %fits = icmp ule i64 %end, %size
  br i1 %fits, label %write, label %next
write:
  store i64 %end, ptr %p_used
  %record = getelementptr i8, ptr %buffer, i64 %used
  %p_f = getelementptr i64, ptr %fs, i64 %i64
  %f = load i64, ptr %p_f
  store i64 %f, ptr %record, align 8
  %p_a = getelementptr i64, ptr %as, i64 %i64
  %a = load i64, ptr %p_a
  %none = icmp eq i64 %a, 0
  br i1 %none, label %next, label %copy
copy:
  %host = call i64 @sgpu_resolve_lane(ptr %w, i32 %site, i64 %a, i32 %i, i32 1, i32 3)
  %from = inttoptr i64 %host to ptr
  %body = getelementptr i8, ptr %record, i64 8
  call void @llvm.memcpy.p0.p0.i64(ptr %body, ptr %from, i64 $print_arguments, i1 false)
  br label %next
next:
  br label %loop
done:
  ret void
}
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
