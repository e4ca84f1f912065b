; Per-lane memory accesses of element type $T ($B bytes): the given host addresses are already checked.
define <32 x $T> @sgpu_gather_$T(<32 x i64> %a, i32 %mask) {
entry:
  %from = alloca [32 x i64], align 64
  %to = alloca [32 x $T], align 64
  store <32 x i64> %a, ptr %from, align 64
  store <32 x $T> zeroinitializer, ptr %to, align 64
  br label %loop
loop:
  %rest = phi i32 [ %mask, %entry ], [ %rest1, %body ]
  %some = icmp ne i32 %rest, 0
  br i1 %some, label %body, label %done
body:
  %lane = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %minus = sub i32 %rest, 1
  %rest1 = and i32 %rest, %minus
  %lane64 = zext i32 %lane to i64
  %p_a = getelementptr i64, ptr %from, i64 %lane64
  %one = load ptr, ptr %p_a
  %v = load $T, ptr %one, align 1
  %p_v = getelementptr $T, ptr %to, i64 %lane64
  store $T %v, ptr %p_v
  br label %loop
done:
  %r = load <32 x $T>, ptr %to, align 64
  ret <32 x $T> %r
}

define void @sgpu_scatter_$T(<32 x i64> %a, i32 %mask, <32 x $T> %values) {
entry:
  %from = alloca [32 x i64], align 64
  %to = alloca [32 x $T], align 64
  store <32 x i64> %a, ptr %from, align 64
  store <32 x $T> %values, ptr %to, align 64
  br label %loop
loop:
  %rest = phi i32 [ %mask, %entry ], [ %rest1, %body ]
  %some = icmp ne i32 %rest, 0
  br i1 %some, label %body, label %done
body:
  %lane = call i32 @llvm.cttz.i32(i32 %rest, i1 true)
  %minus = sub i32 %rest, 1
  %rest1 = and i32 %rest, %minus
  %lane64 = zext i32 %lane to i64
  %p_a = getelementptr i64, ptr %from, i64 %lane64
  %one = load ptr, ptr %p_a
  %p_v = getelementptr $T, ptr %to, i64 %lane64
  %v = load $T, ptr %p_v
  store $T %v, ptr %one, align 1
  br label %loop
done:
  ret void
}
